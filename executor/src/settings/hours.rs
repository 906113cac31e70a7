//! `WORKER_ACTIVE_HOURS`: when the GPU may be used, by this machine's clock.

use chrono::{NaiveTime, Timelike};

const DAY: u32 = 24 * 60;

/// Spans of the day, such as `22:00-08:00` or `1-6,13-14:30`; one that ends before it begins goes
/// over midnight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveHours {
    /// First minute and the one after the last, counted from midnight.
    spans: Vec<(u32, u32)>,
    text: String,
}

impl ActiveHours {
    pub fn parse(text: &str) -> Option<Self> {
        let spans: Option<Vec<_>> = text.split(',').map(span).collect();
        Some(Self {
            spans: spans?,
            text: text.trim().to_owned(),
        })
    }

    pub fn contain(&self, time: NaiveTime) -> bool {
        let minute = time.hour() * 60 + time.minute();
        self.spans.iter().any(|&(from, to)| {
            if from < to {
                (from..to).contains(&minute)
            } else {
                minute >= from || minute < to
            }
        })
    }

    pub fn are_now(&self) -> bool {
        self.contain(chrono::Local::now().time())
    }

    pub fn label(&self) -> &str {
        &self.text
    }
}

fn span(text: &str) -> Option<(u32, u32)> {
    let (from, to) = text.split_once('-')?;
    let (from, to) = (minute(from)?, minute(to)?);
    (from != to && from < DAY).then_some((from, to))
}

fn minute(text: &str) -> Option<u32> {
    let (hours, minutes) = text.trim().split_once(':').unwrap_or((text.trim(), "0"));
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    (minutes < 60 && hours * 60 + minutes <= DAY).then_some(hours * 60 + minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, hour: u32, minute: u32) -> bool {
        let time = NaiveTime::from_hms_opt(hour, minute, 59).unwrap();
        ActiveHours::parse(text).unwrap().contain(time)
    }

    #[test]
    fn spans_may_go_over_midnight_and_end_with_the_day() {
        assert!(at("22:00-08:00", 23, 0) && at("22:00-08:00", 7, 59) && at("22-8", 22, 0));
        assert!(!at("22:00-08:00", 8, 0) && !at("22:00-08:00", 21, 59));
        assert!(at("18-24", 23, 59) && !at("18-24", 0, 0));
        assert!(at("1-6, 13-14:30", 14, 29) && !at("1-6, 13-14:30", 14, 30));
    }

    #[test]
    fn what_is_no_span_of_a_day_is_refused() {
        for text in [
            "", "8", "8-8", "24-3", "25-3", "8-9:60", "8-25", "morning", "8-9,",
        ] {
            assert_eq!(ActiveHours::parse(text), None, "{text}");
        }
    }
}
