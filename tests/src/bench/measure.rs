//! Two sides taking turns, and what their figures say.

/// Figures of one side, a number for each round.
#[derive(Clone, Debug, Default)]
pub struct Series(pub Vec<f64>);

impl Series {
    pub fn median(&self) -> f64 {
        percentile(&self.0, 0.5)
    }
}

/// Ours beside its limit, round by round.
#[derive(Clone, Debug, Default)]
pub struct Pair {
    pub ours: Series,
    pub limit: Series,
}

impl Pair {
    /// The two sides take turns; who begins changes with every round, so that neither profits from
    /// what the other left in the caches.
    pub fn measure(rounds: usize, mut side: impl FnMut(Side) -> f64) -> Pair {
        let mut pair = Pair::default();
        for round in 0..rounds {
            let order = if round % 2 == 0 {
                [Side::Ours, Side::Limit]
            } else {
                [Side::Limit, Side::Ours]
            };
            for turn in order {
                let figure = side(turn);
                pair.of(turn).0.push(figure);
            }
        }
        pair
    }

    fn of(&mut self, side: Side) -> &mut Series {
        match side {
            Side::Ours => &mut self.ours,
            Side::Limit => &mut self.limit,
        }
    }

    /// The ratio of the medians.
    pub fn ratio(&self) -> f64 {
        self.ours.median() / self.limit.median()
    }

    /// The least and the greatest ratio of a single round.
    pub fn spread(&self) -> (f64, f64) {
        let ratios = self
            .ours
            .0
            .iter()
            .zip(&self.limit.0)
            .map(|(ours, limit)| ours / limit);
        ratios.fold((f64::INFINITY, 0.0), |(low, high), ratio| {
            (low.min(ratio), f64::max(high, ratio))
        })
    }
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Ours,
    Limit,
}

/// The value below which this share of them lies; 0 where there are none.
pub fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    let at = share * last as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_spread_of_two_sides_that_take_turns() {
        let mut turns = Vec::new();
        let pair = Pair::measure(3, |side| {
            turns.push(side);
            match side {
                Side::Ours => turns.len() as f64,
                Side::Limit => 2.0,
            }
        });
        assert_eq!(turns[..4], [Side::Ours, Side::Limit, Side::Limit, Side::Ours]);
        assert_eq!(pair.ours.0, [1.0, 4.0, 5.0]);
        assert_eq!(pair.ratio(), 2.0);
        assert_eq!(pair.spread(), (0.5, 2.5));
        assert_eq!(percentile(&[1.0, 2.0, 3.0, 4.0], 0.5), 2.5);
    }
}
