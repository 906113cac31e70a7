//! HTTP to the model host, with a bound on every wait: connecting, the first token (a model may be
//! loading), the pause between two tokens, and the whole answer.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use serde_json::Value;
use tokio::time::{Instant, timeout, timeout_at};

use super::fault::HttpError;
use super::stream::{Collected, Collector, Spoiled};
use crate::settings::{ActiveHours, Authorization};
use crate::tls::{self, TlsError};

const LONGEST_JSON: usize = 4 << 20;
/// For small questions such as the list of models.
const SMALL_WAIT: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub connect: Duration,
    pub first_token: Duration,
    pub between_tokens: Duration,
    pub whole: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the HTTP client cannot be set up: {0}")]
    Client(#[from] reqwest::Error),
}

pub struct Wire {
    client: Client,
    authorization: Option<Authorization>,
    /// Outside of these nothing is asked: no text, no list of models, no sign of life.
    hours: Option<ActiveHours>,
    pub bounds: Bounds,
}

impl Wire {
    pub fn new(
        authorization: Option<Authorization>,
        bounds: Bounds,
        hours: Option<ActiveHours>,
    ) -> Result<Self, WireError> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls::for_http()?)
            .connect_timeout(bounds.connect)
            .tcp_keepalive(Duration::from_secs(30))
            // A proxy of the environment is for the internet; the model host is a neighbour.
            .no_proxy()
            // A redirect would carry the prompt, and a POST would arrive as a GET.
            .redirect(Policy::none())
            .build()?;
        Ok(Self {
            client,
            authorization,
            hours,
            bounds,
        })
    }

    pub async fn get(&self, url: Url) -> Result<Value, HttpError> {
        let place = place(&url);
        let exchange = async {
            let response = self.send(self.client.get(url), &place).await?;
            let body = small_body(response, &place).await?;
            serde_json::from_slice(&body).map_err(|_| HttpError::Spoiled(Spoiled::NoStream))
        };
        timeout(SMALL_WAIT, exchange)
            .await
            .unwrap_or_else(|_| Err(late(&place, "an answer", SMALL_WAIT)))
    }

    /// Sends a chat request and collects the answer. Dropping this future closes the stream, which
    /// frees the server's slot.
    pub async fn chat(&self, url: Url, body: &Value) -> Result<Collected, HttpError> {
        let place = place(&url);
        let bounds = self.bounds;
        let answer = async {
            let first = Instant::now() + bounds.first_token;
            let request = self.client.post(url).json(body);
            let response = timeout_at(first, self.send(request, &place)).await;
            let response = response.map_err(|_| late(&place, "the first token", bounds.first_token))??;
            if is_stream(&response) {
                collect(response, first, bounds, &place).await
            } else {
                Ok(Collector::whole(&small_body(response, &place).await?)?)
            }
        };
        timeout(bounds.whole, answer)
            .await
            .unwrap_or_else(|_| Err(late(&place, "the whole answer", bounds.whole)))
    }

    pub fn rests(&self) -> bool {
        !self.hours.as_ref().is_none_or(ActiveHours::are_now)
    }

    async fn send(&self, request: reqwest::RequestBuilder, place: &str) -> Result<Response, HttpError> {
        if self.rests() {
            return Err(HttpError::Resting);
        }
        let request = match &self.authorization {
            Some(Authorization::Bearer(key)) => request.bearer_auth(key.reveal()),
            Some(Authorization::Basic(user, password)) => request.basic_auth(user, Some(password.reveal())),
            None => request,
        };
        let response = request
            .send()
            .await
            .map_err(|error| HttpError::from_reqwest(&error, place))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (status, headers) = (response.status(), response.headers().clone());
        let body = small_body(response, place).await.unwrap_or_default();
        Err(HttpError::from_status(status, &headers, &body))
    }
}

async fn collect(
    mut response: Response,
    first: Instant,
    bounds: Bounds,
    place: &str,
) -> Result<Collected, HttpError> {
    let mut collector = Collector::default();
    let mut begun = false;
    let mut until = first;
    loop {
        let chunk = timeout_at(until, response.chunk())
            .await
            .map_err(|_| match begun {
                true => late(place, "the next token", bounds.between_tokens),
                false => late(place, "the first token", bounds.first_token),
            })?;
        let Some(bytes) = chunk.map_err(|error| HttpError::from_reqwest(&error, place))? else {
            break;
        };
        if collector.feed(&bytes)? {
            begun = true;
        }
        if begun {
            until = Instant::now() + bounds.between_tokens;
        }
    }
    let collected = collector.end()?;
    // A connection that ends without a word that the answer is complete was cut.
    if begun && !collected.finished {
        return Err(HttpError::Broken("it ended without a finish".into()));
    }
    Ok(collected)
}

fn is_stream(response: &Response) -> bool {
    let kind = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    !kind.is_some_and(|kind| kind.contains("json"))
}

async fn small_body(mut response: Response, place: &str) -> Result<Vec<u8>, HttpError> {
    let mut body = Vec::new();
    while let Some(bytes) = response
        .chunk()
        .await
        .map_err(|error| HttpError::from_reqwest(&error, place))?
    {
        body.extend_from_slice(&bytes);
        if body.len() > LONGEST_JSON {
            return Err(Spoiled::TooLong.into());
        }
    }
    Ok(body)
}

fn place(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!(
        "{}://{}{port}{}",
        url.scheme(),
        url.host_str().unwrap_or_default(),
        url.path()
    )
}

fn late(place: &str, what: &str, bound: Duration) -> HttpError {
    HttpError::Timeout(format!(
        "{place} did not send {what} within {} s",
        bound.as_secs_f64()
    ))
}
