//! `/health`, for people and container engines, and `/metrics`, for Prometheus.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;

use crate::commands::Failure;
use crate::engine::Tools;
use crate::metrics;

/// A port that is ours.
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
}

pub async fn bind(address: IpAddr, port: u16) -> Result<Listening, Failure> {
    let address = SocketAddr::new(address, port);
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Failure::Other(format!(
            "cannot listen on {address}: {error}. Is another executor running here? WORKER_PORT (--port) names \
             another port, WORKER_BIND (--bind) another address"
        ))
    })?;
    Ok(Listening { listener, address })
}

impl Listening {
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub async fn answer(self, tools: Arc<Tools>) {
        let router = Router::new()
            .route("/health", get(health))
            .route("/metrics", get(numbers))
            .with_state(tools);
        if let Err(error) = axum::serve(self.listener, router).await {
            tracing::error!(%error, "/health is not answered any more");
        }
    }
}

async fn health(State(tools): State<Arc<Tools>>) -> impl IntoResponse {
    let (well, body) = tools.vitals.health();
    let status = if well {
        StatusCode::OK
    } else {
        StatusCode::INTERNAL_SERVER_ERROR
    };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(body))
}

async fn numbers(State(tools): State<Arc<Tools>>) -> impl IntoResponse {
    let text = metrics::render(&tools.vitals, &metrics::stock(&tools.door).await);
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text)
}
