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
use crate::metrics::stock::StockTaker;
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
        let known = Known {
            stock: Arc::new(StockTaker::start(tools.door.clone())),
            vitals: Arc::clone(&tools.vitals),
        };
        let router = Router::new()
            .route("/health", get(health))
            .route("/metrics", get(numbers))
            .with_state(known);
        if let Err(error) = axum::serve(self.listener, router).await {
            tracing::error!(%error, "/health is not answered any more");
        }
    }
}

/// Both are answered from what is known, never by asking.
#[derive(Clone)]
struct Known {
    stock: Arc<StockTaker>,
    vitals: Arc<Vitals>,
}

async fn health(State(known): State<Known>) -> impl IntoResponse {
    let (well, body) = known.vitals.health();
    let status = if well {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, [(header::CACHE_CONTROL, "no-store")], Json(body))
}

async fn numbers(State(known): State<Known>) -> impl IntoResponse {
    let text = metrics::render(&known.vitals, &known.stock.stock().await);
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text)
}
