//! The generator with a model: one streaming chat request to an OpenAI-compatible server per item.
//!
//! The hard part is to know whom to blame. A refused connection or a 503 is the host's fault and
//! every job waits; a 500 or a stalled stream may be this prompt's, and then only this item must be
//! tried again. In doubt the host is asked for one word: if it gives one, it is not the host.

mod discovery;
mod fault;
mod manners;
mod memory;
mod prose;
mod request;
mod said;
mod stream;
mod wire;

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use self::discovery::Found;
use self::fault::HttpError;
use self::memory::{Memory, say_learnt};
use self::stream::{Collected, Spoiled};
use self::wire::Wire;
use super::{Ask, Boxed, Cause, Draft, GenerateError, Generator, Host, Trouble};
use crate::rejection::{Class, Rejection};
use crate::settings::{ActiveHours, Authorization, Endpoint};

pub use wire::{Bounds, WireError};

/// How long a host that is under suspicion may take for its one word.
const SUSPICION: Duration = Duration::from_secs(30);
/// Where no model is named, the host is asked again which one it has: it may have been swapped.
const STALE_AFTER: Duration = Duration::from_secs(15);

pub struct Llm {
    wire: Wire,
    endpoint: Endpoint,
    /// The model that the settings name.
    model: Option<String>,
    found: RwLock<Option<(Found, Instant)>>,
    memory: Memory,
    /// One suspicion at a time, and its verdict holds for all that waited for it: four stalled requests must
    /// not become four more.
    suspicion: tokio::sync::Mutex<Option<Verdict>>,
}

/// When, about which model, and what the host said; None: nothing in time.
type Verdict = (Instant, Option<String>, Option<Result<String, Trouble>>);

impl Llm {
    pub fn new(
        endpoint: Endpoint,
        authorization: Option<Authorization>,
        model: Option<String>,
        bounds: Bounds,
        hours: Option<ActiveHours>,
    ) -> Result<Self, WireError> {
        let wire = Wire::new(authorization, bounds, hours)?;
        Ok(Self {
            wire,
            endpoint,
            model,
            found: RwLock::default(),
            memory: Memory::default(),
            suspicion: Default::default(),
        })
    }

    async fn item(&self, ask: &Ask) -> Result<Draft, GenerateError> {
        let started = Instant::now();
        let (base, own) = self.place().await?;
        let model = ask.model.clone().unwrap_or(own);
        let mut ladder = self.memory.ladder(&model, &ask.schema);
        let mut refusal = None;
        loop {
            let body = request::body(ask, &model, ladder.now());
            match self.wire.chat(base.join("/chat/completions"), &body).await {
                Ok(collected) => {
                    let lesson = self.memory.worked(&model, &ask.schema, ladder.now());
                    say_learnt(&model, lesson, refusal.as_ref());
                    if is_only_thoughts(&collected) {
                        say_learnt(&model, self.memory.only_thought(&model), None);
                    }
                    return Ok(draft(collected, model, started));
                }
                Err(error) if error.is_about_the_form() && ladder.down(parameter_of(&error)) => {
                    tracing::debug!(model, %error, "asked again in another form");
                    refusal = Some(error);
                }
                Err(error) => return Err(self.blame(error, ask, &model).await),
            }
        }
    }

    async fn blame(&self, error: HttpError, ask: &Ask, model: &str) -> GenerateError {
        let place = self.endpoint.label();
        // Also where it failed for another reason: nobody may be asked about that now.
        if self.wire.rests() {
            return GenerateError::Resting;
        }
        if error.is_about_context() {
            return GenerateError::Context {
                reason: format!("the model's context is too small: {error}"),
                prompt: error.is_typed_refusal_of_prompt(),
            };
        }
        if let Some(trouble) = error.clearly_the_host(&place) {
            return GenerateError::Host(trouble);
        }
        // A model that is refused by name is asked for nothing more: then the usual one shows whether the host writes.
        let suspect = ask.model.clone().filter(|_| !is_refused(&error));
        match self.suspect(suspect).await {
            Some(Ok(usual)) if ask.model.is_none() && usual != model => {
                GenerateError::Answer(Rejection::new(
                    Class::Error,
                    format!("the model server has {usual} now, and not {model} any more: {error}"),
                ))
            }
            Some(Ok(_)) => not_the_host(&error, ask),
            Some(Err(trouble)) => GenerateError::Host(trouble),
            None => GenerateError::Host(error.trouble(&place)),
        }
    }

    /// Asks the host for one word; answers which model is the usual one.
    async fn suspect(&self, model: Option<String>) -> Option<Result<String, Trouble>> {
        let failed = Instant::now();
        let mut last = self.suspicion.lock().await;
        if let Some((when, whom, verdict)) = last.as_ref()
            && *when >= failed
            && *whom == model
        {
            return verdict.clone();
        }
        let bound = SUSPICION.min(self.wire.bounds.first_token);
        let word = timeout(bound, self.look(model.as_deref(), true)).await.ok();
        let verdict = word.map(|word| word.map(|_| self.usual_model()));
        *last = Some((Instant::now(), model, verdict.clone()));
        verdict
    }

    /// Where to send requests, and the model to name in them.
    async fn place(&self) -> Result<(Endpoint, String), GenerateError> {
        let known = self.found.read().unwrap_or_else(PoisonError::into_inner).clone();
        let found = match known {
            Some((found, since)) if self.model.is_some() || since.elapsed() < STALE_AFTER => found,
            Some((found, _)) => match self.find().await {
                // A host that is slow to list its models may write all the same.
                Err(HttpError::Timeout(_) | HttpError::Status(_) | HttpError::Spoiled(_)) => found,
                other => other.map_err(|error| self.unusable(&error))?,
            },
            None => self.find().await.map_err(|error| self.unusable(&error))?,
        };
        let model = self.name_of(&found).map_err(GenerateError::Host)?;
        Ok((found.base, model))
    }

    fn unusable(&self, error: &HttpError) -> GenerateError {
        match error {
            HttpError::Resting => GenerateError::Resting,
            error => GenerateError::Host(error.trouble(&self.endpoint.label())),
        }
    }

    async fn find(&self) -> Result<Found, HttpError> {
        let mut found = match discovery::discover(&self.wire, &self.endpoint).await {
            // Not every server lists its models; with a name we can do without.
            Err(error) if error.status() == Some(404) && self.model.is_some() => {
                Found::nothing(self.endpoint.clone())
            }
            other => other?,
        };
        let mut known = self.found.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((before, _)) = known.as_ref() {
            found.stay_with(before);
        }
        if known
            .as_ref()
            .is_some_and(|(before, _)| before.models != found.models || before.first != found.first)
        {
            self.memory.forget();
        }
        *known = Some((found.clone(), Instant::now()));
        Ok(found)
    }

    /// The model to ask for where a kind names none.
    fn name_of(&self, found: &Found) -> Result<String, Trouble> {
        self.model.clone().or_else(|| found.first.clone()).ok_or_else(|| {
            let (place, advice) = (self.endpoint.label(), Cause::NoModel.advice());
            Trouble::new(Cause::NoModel, format!("{place} has no model loaded{advice}"))
        })
    }

    fn usual_model(&self) -> String {
        let known = self.found.read().unwrap_or_else(PoisonError::into_inner);
        let name = known.as_ref().and_then(|(found, _)| self.name_of(found).ok());
        name.unwrap_or_default()
    }

    async fn look(&self, model: Option<&str>, text: bool) -> Result<Host, Trouble> {
        let trouble = |error: HttpError| error.trouble(&self.endpoint.label());
        let found = self.find().await.map_err(trouble)?;
        let usual = self.name_of(&found)?;
        if text {
            let url = found.base.join("/chat/completions");
            let spoken = self
                .wire
                .chat(url, &request::probe(model.unwrap_or(&usual)))
                .await;
            spoken.map_err(trouble)?;
        }
        Ok(found.host(usual))
    }

    /// All models that the host lists, for the doctor.
    pub fn models(&self) -> Vec<String> {
        let found = self.found.read().unwrap_or_else(PoisonError::into_inner);
        found
            .as_ref()
            .map(|(found, _)| found.models.clone())
            .unwrap_or_default()
    }
}

impl Generator for Llm {
    fn name(&self) -> &'static str {
        "llm"
    }

    fn write<'a>(&'a self, ask: &'a Ask) -> Boxed<'a, Result<Draft, GenerateError>> {
        Box::pin(self.item(ask))
    }

    fn probe<'a>(&'a self, model: Option<&'a str>, text: bool) -> Boxed<'a, Result<Host, Trouble>> {
        Box::pin(self.look(model, text))
    }
}

fn is_only_thoughts(collected: &Collected) -> bool {
    let answer = &collected.answer;
    answer.content.trim().is_empty() && !answer.reasoning.is_empty() && answer.cut_off
}

fn parameter_of(error: &HttpError) -> Option<&str> {
    error.said().and_then(|said| said.parameter.as_deref())
}

fn is_refused(error: &HttpError) -> bool {
    error.status().is_some_and(|status| (400..500).contains(&status))
}

fn not_the_host(error: &HttpError, ask: &Ask) -> GenerateError {
    if is_refused(error) {
        let what = match &ask.model {
            Some(model) => format!("model \"{model}\" (content_pools.model)"),
            None => "the request".into(),
        };
        return GenerateError::Job {
            reason: format!("the server refuses {what}: {error}"),
            permanent: false,
        };
    }
    let class = match error {
        HttpError::Timeout(_) => Class::Timeout,
        HttpError::Spoiled(Spoiled::Blank) => Class::NotJson,
        HttpError::Status(_) | HttpError::Spoiled(Spoiled::Said(_)) => Class::Error,
        _ => Class::Empty,
    };
    GenerateError::Answer(Rejection::new(class, error.to_string()))
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
