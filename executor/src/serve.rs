//! `/health`, for people and container engines.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::commands::Failure;
use crate::redact::clean;
use crate::vitals::Vitals;

/// A port that is ours.
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
}

pub async fn bind(address: IpAddr, port: u16) -> Result<Listening, Failure> {
    let address = SocketAddr::new(address, port);
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Failure::Other(format!(
            "cannot listen on {address}: {error}. Is another executor running here? WORKER_PORT (--port) names another \
             port, WORKER_BIND (--bind) another address"
        ))
    })?;
    Ok(Listening { listener, address })
}

impl Listening {
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub async fn answer(self, vitals: Arc<Vitals>) {
        let router = Router::new().route("/health", get(health)).with_state(vitals);
        if let Err(error) = axum::serve(self.listener, router).await {
            tracing::error!(%error, "/health is not answered any more");
        }
    }
}

async fn health(State(vitals): State<Arc<Vitals>>) -> impl IntoResponse {
    let (well, body) = vitals.health();
    let status = if well {
        StatusCode::OK
    } else {
        StatusCode::INTERNAL_SERVER_ERROR
    };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(cleaned(body)))
}

/// Errors are texts of other programs: whatever they quote, no secret gets out.
fn cleaned(body: Value) -> Value {
    match body {
        Value::String(text) => Value::String(clean(&text)),
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| (key, cleaned(value)))
            .collect(),
        other => other,
    }
}
