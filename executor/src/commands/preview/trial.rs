//! One item on trial: written and checked as for a job, but without one. The database is asked for
//! what a first item would be asked for, an answer goes through the schema and the kind's rules, and
//! one that is rejected is asked for again with the reason.

use serde_json::Value;

use crate::door::{Door, DoorError, Order};
use crate::engine::{Lesson, NextTry, TRIES};
use crate::extract;
use crate::generator::{Ask, Draft, GenerateError, Generator, Trouble};
use crate::rejection::{Class, Rejection};
use crate::schema::{SchemaError, Schemas};

pub struct Trial<'a> {
    pub door: &'a Door,
    pub generator: &'a dyn Generator,
    pub kind: &'a str,
    pub parameters: Option<&'a Value>,
}

/// An item that would be stored, what it cost, and what was rejected before it.
#[derive(Debug)]
pub struct Written {
    pub item: Value,
    pub draft: Draft,
    pub rejected: Vec<Rejection>,
}

/// Why there is none, sorted by whose fault it is.
#[derive(Debug, thiserror::Error)]
pub enum NoItem {
    #[error(transparent)]
    Door(#[from] DoorError),
    #[error("the model host cannot be used now: {0}")]
    Host(Trouble),
    #[error("{0}")]
    Kind(String),
    /// Prompt and answer are more than the context holds.
    #[error("{0}")]
    Context(String),
    #[error("no answer passed in {TRIES} tries; the last one: {}", .0.reason)]
    Rejected(Rejection),
}

impl From<SchemaError> for NoItem {
    fn from(error: SchemaError) -> Self {
        Self::Kind(error.to_string())
    }
}

impl Trial<'_> {
    /// `tell` hears how it goes, line by line. All tries are for one brief: a correction must not meet another.
    pub async fn run(&self, mut tell: impl FnMut(&str)) -> Result<Written, NoItem> {
        let (schemas, mut rejected) = (Schemas::default(), Vec::<Rejection>::new());
        let mut order = self.door.preview_item(self.kind, self.parameters, 0).await?;
        let mut ask = Ask::from_order(&order);
        for try_no in 0..TRIES {
            tell(&about(&order, try_no));
            let (draft, verdict) = match self.one_try(&schemas, &order, &ask).await {
                Err(NoItem::Context(reason)) if ask.tokens() > Ask::from_order(&order).tokens() => {
                    tell(&format!("       {reason}; once more without the correction"));
                    let next = NextTry::Bare;
                    ask = Lesson { reason, next }.ask(&order, ask.room);
                    continue;
                }
                other => other?,
            };
            let rejection = match verdict {
                Ok(item) => {
                    return Ok(Written {
                        item,
                        draft,
                        rejected,
                    });
                }
                Err(rejection) => rejection,
            };
            tell(&format!("       rejected: {}", rejection.reason));
            order.seed = order.seed.wrapping_add(1);
            ask = Lesson::of(rejection.clone(), &draft.answer.content).ask(&order, ask.room);
            rejected.push(rejection);
        }
        let last = rejected.pop();
        Err(NoItem::Rejected(last.unwrap_or_else(|| {
            Rejection::new(Class::Empty, "nothing was tried")
        })))
    }

    async fn one_try(
        &self,
        schemas: &Schemas,
        order: &Order,
        ask: &Ask,
    ) -> Result<(Draft, Result<Value, Rejection>), NoItem> {
        let draft = match self.generator.write(ask).await {
            Ok(draft) => draft,
            Err(GenerateError::Host(trouble)) => return Err(NoItem::Host(trouble)),
            Err(GenerateError::Job { reason, .. }) => return Err(NoItem::Kind(reason)),
            Err(GenerateError::Context { reason, .. }) => return Err(NoItem::Context(reason)),
            Err(GenerateError::Resting) => return Err(NoItem::Kind("these are not the hours for it".into())),
            Err(GenerateError::Answer(rejection)) => return Ok((Draft::default(), Err(rejection))),
        };
        let item = match extract::item(&draft.answer, &schemas.check_for(&order.schema)?) {
            Ok(item) => item,
            Err(rejection) => return Ok((draft, Err(rejection))),
        };
        let problem = self.door.check_item(self.kind, self.parameters, &item).await?;
        let verdict = match problem {
            Some(reason) => Err(Rejection::new(Class::Rules, reason)),
            None => Ok(item),
        };
        Ok((draft, verdict))
    }
}

impl Written {
    /// A stub or a cache may need next to no time: then a rate would say nothing.
    pub fn tokens_per_second(&self) -> Option<f64> {
        let tokens = self.draft.completion_tokens? as f64;
        (self.draft.seconds >= 0.01).then(|| tokens / self.draft.seconds)
    }

    /// Seconds, and tokens where the server counts them.
    pub fn cost(&self) -> String {
        let seconds = self.draft.seconds;
        let Some(tokens) = self.draft.completion_tokens else {
            return format!("{seconds:.1} s");
        };
        let rate = self
            .tokens_per_second()
            .map(|rate| format!(" ({rate:.0} a second)"));
        format!("{seconds:.1} s, {tokens} tokens{}", rate.unwrap_or_default())
    }
}

fn about(order: &Order, try_no: i32) -> String {
    let prompt = order.prompt_version.as_deref().unwrap_or("(none)");
    let facets = order
        .facets
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| match value {
            Value::String(text) => format!("{name}: {text}"),
            other => format!("{name}: {other}"),
        });
    let facets: Vec<String> = facets.collect();
    let facets = if facets.is_empty() {
        String::new()
    } else {
        format!("; {}", facets.join("; "))
    };
    format!("try {}: prompt version {prompt}{facets}", try_no + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn order() -> Order {
        Order {
            item_no: 1,
            messages: Vec::new(),
            schema: Value::Null,
            sampling: Value::Null,
            model: None,
            seed: 1,
            facets: Value::Null,
            prompt_version: None,
            grammar: Value::Null,
            context: Value::Null,
        }
    }

    #[test]
    fn a_try_names_its_prompt_and_its_facets() {
        let facets = json!({"place": "harbour", "band": [1, 3]});
        let drawn = Order {
            facets,
            prompt_version: Some("1".into()),
            ..order()
        };
        assert_eq!(
            about(&drawn, 0),
            "try 1: prompt version 1; band: [1,3]; place: harbour"
        );
        assert_eq!(about(&order(), 1), "try 2: prompt version (none)");
    }
}
