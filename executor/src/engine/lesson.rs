//! What is to be learnt from an answer that is no item.

use super::attempt::ItemEnd;
use super::slots::Company;
use crate::door::Order;
use crate::generator::Ask;
use crate::rejection::{Class, Rejection};

/// What a rejected answer means for the next try.
#[derive(Debug)]
pub struct Lesson {
    pub reason: String,
    pub next: NextTry,
}

#[derive(Debug)]
pub enum NextTry {
    /// To the same brief, told what was wrong with this answer.
    Correct(String),
    /// To the same brief: an answer that cannot be shown, or must not, since a model goes on with its own
    /// broken text.
    Afresh,
    /// The same, with more room for the answer.
    Longer,
    /// The same, with nothing added: what earlier tries had added was too much.
    Bare,
    /// To another brief: what this one leads to is there already.
    Elsewhere,
}

impl Lesson {
    pub fn of(rejection: Rejection, answer: &str) -> Self {
        let next = match rejection.class {
            class if class.is_correctable() => NextTry::Correct(answer.to_owned()),
            Class::Truncated => NextTry::Longer,
            _ => NextTry::Afresh,
        };
        let reason = rejection.reason;
        Self { reason, next }
    }

    /// What to ask next, where `room` is what the last try had.
    pub fn ask(&self, order: &Order, room: u32) -> Ask {
        let mut ask = Ask {
            room,
            ..Ask::from_order(order)
        };
        match &self.next {
            NextTry::Correct(answer) => ask.correct(answer, &self.reason),
            NextTry::Longer => ask.room = room * 2,
            NextTry::Bare => ask.room = 1,
            NextTry::Afresh | NextTry::Elsewhere => {}
        }
        ask
    }
}

/// More than the context holds: was it what this try added, what else was in flight, or the job itself?
/// `prompt`: the server has counted this prompt alone and refused it.
pub fn too_much(
    order: &Order,
    ask: &Ask,
    company: Company,
    reason: String,
    prompt: bool,
) -> Result<Lesson, ItemEnd> {
    if ask.tokens() > Ask::from_order(order).tokens() {
        let next = NextTry::Bare;
        return Ok(Lesson { reason, next });
    }
    if company.peak > 1 {
        let together = company.peak;
        return Err(ItemEnd::Crowded { reason, together });
    }
    Err(ItemEnd::Job {
        reason,
        permanent: prompt,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::Message;
    use serde_json::{Value, json};

    fn order() -> Order {
        Order {
            item_no: 1,
            messages: vec![Message {
                role: "user".into(),
                content: "Write a quest.".into(),
            }],
            schema: Value::Null,
            sampling: json!({"max_tokens": 900}),
            model: None,
            seed: 1,
            facets: Value::Null,
            prompt_version: None,
            grammar: Value::Null,
            context: Value::Null,
        }
    }

    fn alone() -> Company {
        Company {
            at_the_end: 1,
            peak: 1,
        }
    }

    fn told(ask: &Ask, company: Company, prompt: bool) -> Result<Lesson, ItemEnd> {
        too_much(&order(), ask, company, "too much".into(), prompt)
    }

    #[test]
    fn what_is_too_long_may_be_the_correction_and_not_the_job() {
        let wrong = Rejection::new(Class::Schema, "no title");
        let corrected = Lesson::of(wrong, &"x".repeat(4000)).ask(&order(), 2);
        let lesson = told(&corrected, alone(), true).expect("another try");
        let afresh = lesson.ask(&order(), corrected.room);
        assert_eq!((&afresh.messages, afresh.room), (&order().messages, 1));
        let end = told(&afresh, alone(), true).expect_err("nothing was added");
        assert!(matches!(end, ItemEnd::Job { permanent: true, .. }));
    }

    #[test]
    fn a_full_context_is_nobodys_fault_where_several_share_it() {
        let ask = Ask::from_order(&order());
        for prompt in [true, false] {
            let company = Company {
                at_the_end: 1,
                peak: 6,
            };
            let end = told(&ask, company, prompt).expect_err("not a matter of another try");
            assert!(matches!(end, ItemEnd::Crowded { together: 6, .. }));
        }
        let end = told(&ask, alone(), false).expect_err("not a matter of another try");
        assert!(
            matches!(end, ItemEnd::Job { permanent: false, .. }),
            "only what the server counted is for good"
        );
    }

    #[test]
    fn only_a_wrong_object_is_shown_again() {
        let ask = |class| Lesson::of(Rejection::new(class, "why"), "{}").ask(&order(), 1);
        assert_eq!(ask(Class::Rules).messages.len(), 3);
        for class in [Class::NotJson, Class::Empty, Class::Timeout, Class::Truncated] {
            assert_eq!(ask(class).messages.len(), 1, "{class}");
        }
        assert_eq!(ask(Class::Truncated).room, 2);
    }
}
