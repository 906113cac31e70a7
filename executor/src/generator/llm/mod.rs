//! The generator with a model: one streaming chat request to an OpenAI-compatible server per item.
//!
//! The hard part is to know whom to blame. A refused connection or a 503 is the host's fault and
//! every job waits; a 500 or a stalled stream may be this prompt's, and then only this item must be
//! tried again. In doubt the host is asked for one word: if it gives one, it is not the host.

mod discovery;
mod fault;
mod manners;
mod request;
mod stream;
mod wire;

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use self::discovery::Found;
use self::fault::Fault;
use self::manners::{Manners, Memory};
use self::stream::{Collected, Spoiled};
use self::wire::Wire;
use super::{Ask, Boxed, Draft, Generator, Host, Miss, Trouble};
use crate::door::Rejection;
use crate::redact::Secret;
use crate::settings::Endpoint;

pub use wire::{Bounds, WireError};

/// How long a host that is under suspicion may take for its one word.
const SUSPICION: Duration = Duration::from_secs(30);

pub struct Llm {
    wire: Wire,
    endpoint: Endpoint,
    /// The model that the settings name.
    model: Option<String>,
    found: RwLock<Option<Found>>,
    memory: Memory,
    /// One suspicion at a time: four stalled requests must not become four more.
    suspicion: tokio::sync::Mutex<()>,
}

impl Llm {
    pub fn new(
        endpoint: Endpoint,
        key: Option<Secret>,
        model: Option<String>,
        bounds: Bounds,
    ) -> Result<Self, WireError> {
        let wire = Wire::new(key, bounds)?;
        Ok(Self {
            wire,
            endpoint,
            model,
            found: RwLock::default(),
            memory: Memory::default(),
            suspicion: Default::default(),
        })
    }

    async fn item(&self, ask: &Ask) -> Result<Draft, Miss> {
        let started = Instant::now();
        let (base, own) = self.place().await.map_err(Miss::Host)?;
        let model = ask.model.clone().unwrap_or(own);
        let mut manners = self.memory.recall(&model, &ask.schema);
        loop {
            let body = request::body(ask, &model, manners);
            match self.wire.chat(base.join("/chat/completions"), &body).await {
                Ok(collected) => {
                    self.learn(&model, ask, manners, &collected);
                    return Ok(draft(collected, model, started));
                }
                Err(fault) => match manners.step_down().filter(|_| may_step_down(&fault)) {
                    Some(next) => manners = next,
                    None => return Err(self.blame(fault, ask).await),
                },
            }
        }
    }

    /// What worked is kept; and a model whose thoughts used up the answer shall not think next time.
    fn learn(&self, model: &str, ask: &Ask, manners: Manners, collected: &Collected) {
        let answer = &collected.answer;
        let only_thoughts =
            answer.content.trim().is_empty() && !answer.reasoning.is_empty() && answer.cut_off;
        let quiet = manners.quiet || only_thoughts;
        if manners != Manners::FULL || quiet {
            self.memory.keep(model, &ask.schema, Manners { quiet, ..manners });
        }
    }

    async fn blame(&self, fault: Fault, ask: &Ask) -> Miss {
        let place = self.endpoint.label();
        if let Some(trouble) = fault.clearly_the_host(&place) {
            return Miss::Host(trouble);
        }
        if fault.prompt_too_long() {
            return Miss::Job {
                reason: format!("the prompt does not fit the model's context: {fault}"),
                permanent: true,
            };
        }
        let _one_at_a_time = self.suspicion.lock().await;
        let word = timeout(SUSPICION.min(self.wire.bounds.first_token), self.look(true)).await;
        match word {
            Ok(Ok(_)) => not_the_host(&fault, ask),
            Ok(Err(trouble)) => Miss::Host(trouble),
            Err(_) => Miss::Host(fault.as_trouble(&place, "")),
        }
    }

    /// Where to send requests, and the model to name in them.
    async fn place(&self) -> Result<(Endpoint, String), Trouble> {
        let known = self.found.read().unwrap_or_else(PoisonError::into_inner).clone();
        let found = match known {
            Some(found) => found,
            None => self.find().await?,
        };
        let model = self.model.clone().or(found.first).unwrap_or_default();
        Ok((found.base, model))
    }

    async fn find(&self) -> Result<Found, Trouble> {
        let place = self.endpoint.label();
        let found = match discovery::discover(&self.wire, &self.endpoint).await {
            Ok(found) => found,
            // Not every server lists its models; with a name we can do without.
            Err(fault) if fault.status() == Some(404) && self.model.is_some() => Found {
                base: self.endpoint.clone(),
                models: Vec::new(),
                first: None,
                slots: None,
                context: None,
            },
            Err(fault) => return Err(unusable(&fault, &place)),
        };
        if self.model.is_none() && found.first.is_none() {
            return Err(Trouble::new(format!(
                "{place} has no model loaded; load one there, or name one in LOCAL_LLM_MODEL"
            )));
        }
        *self.found.write().unwrap_or_else(PoisonError::into_inner) = Some(found.clone());
        Ok(found)
    }

    async fn look(&self, text: bool) -> Result<Host, Trouble> {
        let found = self.find().await?;
        let model = self.model.clone().or(found.first).unwrap_or_default();
        if text {
            let url = found.base.join("/chat/completions");
            let spoken = self.wire.chat(url, &request::probe(&model)).await;
            spoken.map_err(|fault| unusable(&fault, &self.endpoint.label()))?;
        }
        Ok(Host {
            model: Some(model),
            slots: found.slots,
            context: found.context,
        })
    }

    /// All models that the host lists, for the doctor.
    pub fn models(&self) -> Vec<String> {
        let found = self.found.read().unwrap_or_else(PoisonError::into_inner);
        found
            .as_ref()
            .map(|found| found.models.clone())
            .unwrap_or_default()
    }
}

impl Generator for Llm {
    fn name(&self) -> &'static str {
        "llm"
    }

    fn write<'a>(&'a self, ask: &'a Ask) -> Boxed<'a, Result<Draft, Miss>> {
        Box::pin(self.item(ask))
    }

    fn probe(&self, text: bool) -> Boxed<'_, Result<Host, Trouble>> {
        Box::pin(async move {
            self.memory.forget();
            self.look(text).await
        })
    }
}

/// A 400 that the same request in a simpler form may not meet.
fn may_step_down(fault: &Fault) -> bool {
    matches!(fault.status(), Some(400 | 422)) && !fault.prompt_too_long()
}

fn not_the_host(fault: &Fault, ask: &Ask) -> Miss {
    let refused = matches!(fault.status(), Some(status) if (400..500).contains(&status));
    match &ask.model {
        Some(model) if refused => {
            let reason = format!("the server refuses model \"{model}\" (content_pools.model): {fault}");
            Miss::Job {
                reason,
                permanent: false,
            }
        }
        _ if refused => Miss::Job {
            reason: format!("the server refuses the request: {fault}"),
            permanent: false,
        },
        _ => {
            let class = if matches!(fault, Fault::Spoiled(Spoiled::Blank)) {
                "not_json"
            } else {
                "empty"
            };
            Miss::Answer(Rejection {
                class,
                reason: fault.to_string(),
            })
        }
    }
}

fn unusable(fault: &Fault, place: &str) -> Trouble {
    let advice = match fault.status() {
        Some(404) => "; is LOCAL_LLM_ENDPOINT right (it usually ends in /v1), and is a model loaded?",
        Some(401 | 403) => "; the key is wrong or missing (LOCAL_LLM_API_KEY)",
        _ => "",
    };
    fault.as_trouble(place, advice)
}

fn draft(collected: Collected, asked: String, started: Instant) -> Draft {
    Draft {
        answer: collected.answer,
        model: collected.model.unwrap_or(asked),
        prompt_tokens: collected.prompt_tokens,
        completion_tokens: collected.completion_tokens,
        seconds: started.elapsed().as_secs_f64(),
    }
}
