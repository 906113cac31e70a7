//! What a server accepts, learnt from its refusals.
//!
//! LM Studio refuses `json_object`, others refuse `json_schema`, a seed, or sampling parameters that OpenAI
//! does not have. Where a refusal names the parameter, that one is left out; where it says little about
//! why, one form after the other is tried. What worked is kept for that model and sort of item, and the
//! full form is tried again from time to time: a refusal may have been an accident.

use std::collections::VecDeque;

/// How the server is told to answer in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Schema,
    Object,
    Text,
}

/// What the server is told about thinking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thinking {
    /// Nothing: as the model likes.
    Free,
    /// Not to, since its thoughts used up a whole answer.
    Off,
    /// Little: there are servers that know low, medium and high.
    Little,
    /// Nothing, since the server refuses to be told.
    Untold,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manners {
    pub form: Form,
    /// Only parameters that OpenAI's own API has.
    pub plain: bool,
    pub seed: bool,
    /// Ask for the count of tokens (`stream_options`).
    pub usage: bool,
    pub thinking: Thinking,
}

impl Manners {
    pub const FULL: Self = Self {
        form: Form::Schema,
        plain: false,
        seed: true,
        usage: true,
        thinking: Thinking::Free,
    };

    fn is_told_about_thinking(self) -> bool {
        matches!(self.thinking, Thinking::Off | Thinking::Little)
    }

    fn think_less_told(self) -> Option<Self> {
        let thinking = match self.thinking {
            Thinking::Off => Thinking::Little,
            Thinking::Little => Thinking::Untold,
            Thinking::Free | Thinking::Untold => return None,
        };
        Some(Self { thinking, ..self })
    }

    fn lower_form(self) -> Option<Self> {
        let form = match self.form {
            Form::Schema => Form::Object,
            Form::Object => Form::Text,
            Form::Text => return None,
        };
        Some(Self { form, ..self })
    }

    /// Without the parameter that the server names.
    fn without(self, parameter: &str) -> Option<Self> {
        let begins = |name: &str| parameter.starts_with(name);
        match parameter {
            "seed" if self.seed => Some(Self { seed: false, ..self }),
            _ if begins("stream_options") && self.usage => Some(Self { usage: false, ..self }),
            _ if begins("response_format") => self.lower_form(),
            _ if begins("reasoning") || begins("chat_template_kwargs") => self.think_less_told(),
            "messages" | "model" | "max_tokens" | "temperature" | "stream" => None,
            _ if !self.plain => Some(Self { plain: true, ..self }),
            _ => None,
        }
    }

    /// For people: what is left out of the full form.
    pub fn told(self) -> String {
        let parts = [
            match self.form {
                Form::Schema => None,
                Form::Object => Some("asked for any JSON object, with the schema in the prompt"),
                Form::Text => Some("asked for plain text, with the schema in the prompt"),
            },
            self.plain
                .then_some("without sampling parameters that OpenAI does not have"),
            (!self.seed).then_some("without a seed"),
            (!self.usage).then_some("without the count of tokens"),
            match self.thinking {
                Thinking::Free => None,
                Thinking::Off => Some("told not to think"),
                Thinking::Little => Some("told to think little"),
                Thinking::Untold => Some("told nothing about thinking"),
            },
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// The way down after refusals, from the form that was tried first.
#[derive(Debug)]
pub struct Ladder {
    now: Manners,
    below: VecDeque<Manners>,
}

impl Ladder {
    pub fn from(top: Manners) -> Self {
        let mut below = VecDeque::new();
        let mut add = |manners: Manners| {
            if manners != top && !below.contains(&manners) {
                below.push_back(manners);
            }
        };
        let follow = |from: Manners, step: fn(Manners) -> Option<Manners>| {
            std::iter::successors(step(from), move |manners| step(*manners))
        };
        follow(top, Manners::think_less_told).for_each(&mut add);
        // What is told about thinking was learnt on its own and stays, unless nothing else helps.
        follow(top, Manners::lower_form).for_each(&mut add);
        let bare = Manners {
            form: Form::Schema,
            plain: true,
            seed: false,
            usage: false,
            thinking: if top.is_told_about_thinking() {
                Thinking::Untold
            } else {
                top.thinking
            },
        };
        add(bare);
        follow(bare, Manners::lower_form).for_each(&mut add);
        Self { now: top, below }
    }

    /// The first to be tried after a refusal, for it has worked before.
    pub fn with(mut self, known: Manners) -> Self {
        self.below.retain(|manners| *manners != known);
        if known != self.now {
            self.below.push_front(known);
        }
        self
    }

    pub fn now(&self) -> Manners {
        self.now
    }

    /// One step down; false when nothing is left to leave out.
    pub fn down(&mut self, parameter: Option<&str>) -> bool {
        if let Some(next) = parameter.and_then(|name| self.now.without(name)) {
            *self = Self::from(next);
            return true;
        }
        let Some(next) = self.below.pop_front() else {
            return false;
        };
        self.now = next;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Form::{Object, Schema, Text};

    fn steps(top: Manners) -> Vec<Manners> {
        let mut ladder = Ladder::from(top);
        let mut steps = vec![ladder.now()];
        while ladder.down(None) {
            steps.push(ladder.now());
        }
        steps
    }

    #[test]
    fn the_way_down_ends_and_tries_every_form_in_full_and_bare() {
        let steps = steps(Manners::FULL);
        let forms: Vec<_> = steps
            .iter()
            .map(|step| (step.form, step.plain, step.seed, step.usage))
            .collect();
        let full = [Schema, Object, Text].map(|form| (form, false, true, true));
        let bare = [Schema, Object, Text].map(|form| (form, true, false, false));
        assert_eq!(forms, [full, bare].concat());
    }

    #[test]
    fn servers_that_know_low_medium_and_high_are_told_low() {
        let off = Manners {
            thinking: Thinking::Off,
            ..Manners::FULL
        };
        let steps = steps(off);
        let thinking: Vec<_> = steps.iter().map(|step| (step.form, step.thinking)).collect();
        assert_eq!(
            thinking[..3],
            [
                (Schema, Thinking::Off),
                (Schema, Thinking::Little),
                (Schema, Thinking::Untold)
            ]
        );
        assert_eq!(
            thinking[3],
            (Object, Thinking::Off),
            "it may have been the schema all along"
        );
        assert_eq!(thinking.last(), Some(&(Text, Thinking::Untold)));
    }

    #[test]
    fn a_parameter_that_the_server_names_is_left_out_and_nothing_else() {
        for (parameter, left_out) in [
            (
                "seed",
                Manners {
                    seed: false,
                    ..Manners::FULL
                },
            ),
            (
                "stream_options",
                Manners {
                    usage: false,
                    ..Manners::FULL
                },
            ),
            (
                "stream_options.include_usage",
                Manners {
                    usage: false,
                    ..Manners::FULL
                },
            ),
            (
                "response_format.type",
                Manners {
                    form: Object,
                    ..Manners::FULL
                },
            ),
            (
                "min_p",
                Manners {
                    plain: true,
                    ..Manners::FULL
                },
            ),
        ] {
            let mut ladder = Ladder::from(Manners::FULL);
            assert!(ladder.down(Some(parameter)), "{parameter}");
            assert_eq!(ladder.now(), left_out, "{parameter}");
        }
        let mut ladder = Ladder::from(Manners::FULL);
        assert!(
            (0..50).any(|_| !ladder.down(Some("seed"))),
            "the same name for ever leads to an end too"
        );
    }

    #[test]
    fn what_worked_before_is_the_first_to_be_tried_again() {
        let known = Manners {
            form: Text,
            ..Manners::FULL
        };
        let mut ladder = Ladder::from(Manners::FULL).with(known);
        assert!(ladder.down(None));
        assert_eq!(ladder.now(), known);
    }
}
