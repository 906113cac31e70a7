//! In which orders the steps of two transactions can be taken.

use crate::dice::Dice;

/// Which of the two takes the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    A,
    B,
}

impl Side {
    pub const BOTH: [Side; 2] = [Side::A, Side::B];
}

/// All orders of so many steps of A and of B.
pub fn all(of_a: usize, of_b: usize) -> Vec<Vec<Side>> {
    if of_a == 0 && of_b == 0 {
        return vec![Vec::new()];
    }
    let mut orders = Vec::new();
    for (side, left, rest) in [
        (Side::A, of_a, (of_a.saturating_sub(1), of_b)),
        (Side::B, of_b, (of_a, of_b.saturating_sub(1))),
    ] {
        if left > 0 {
            orders.extend(all(rest.0, rest.1).into_iter().map(|mut order| {
                order.insert(0, side);
                order
            }));
        }
    }
    orders
}

/// One of them by chance.
pub fn one(dice: &mut Dice, of_a: usize, of_b: usize) -> Vec<Side> {
    let orders = all(of_a, of_b);
    let index = dice.between(0, orders.len() as u64 - 1);
    orders.into_iter().nth(index as usize).expect("one of them")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_is_there_once() {
        let count = |a, b| {
            let orders = all(a, b);
            let texts: std::collections::BTreeSet<_> = orders.iter().map(|o| format!("{o:?}")).collect();
            assert_eq!(texts.len(), orders.len());
            orders.len()
        };
        assert_eq!(
            (count(1, 1), count(2, 2), count(2, 3), count(3, 3)),
            (2, 6, 10, 20)
        );
    }
}
