//! Works until it is stopped.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Failure, door, generator};
use crate::engine::{Engine, Plan, Stop, Tools};
use crate::generator::{Builtin, Generator};
use crate::listen::Listener;
use crate::schema::Schemas;
use crate::serve;
use crate::settings::{Fallback, Options};
use crate::vitals::Vitals;

pub async fn run(options: &Options) -> Result<ExitCode, Failure> {
    let plan = plan(options, false);
    let tools = tools(options, &plan)?;
    let listening = serve::bind(options.bind, options.port).await?;
    let stop = stop_on_signals(options.shutdown_seconds)?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        database = tools.door.pool().target().label(),
        health = %listening.address(),
        "starting"
    );
    say_who_writes(options);
    let server = tokio::spawn(listening.answer(Arc::clone(&tools)));
    let id = Uuid::new_v4();
    let listener = Listener::start(tools.door.clone(), id, options.poll_interval_ms);
    let result = Engine::new(id, tools, plan, Some(listener), stop).run().await;
    server.abort();
    result.map_err(|fatal| Failure::Other(fatal.to_string()))?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

pub fn tools(options: &Options, plan: &Plan) -> Result<Arc<Tools>, Failure> {
    let generator = generator(options, plan.hours.clone())?;
    let fallback: Option<Arc<dyn Generator>> = match options.fallback {
        Fallback::Builtin if generator.name() != "builtin" => Some(Arc::new(Builtin)),
        Fallback::Builtin | Fallback::None => None,
    };
    let vitals = Arc::new(Vitals::new(options.poll_interval_ms, generator.name()));
    let patience = Duration::from_secs(u64::from(options.lease_seconds.unsigned_abs()));
    Ok(Arc::new(Tools {
        door: door(options)?,
        generator,
        fallback,
        schemas: Schemas::default(),
        vitals,
        patience,
    }))
}

pub fn plan(options: &Options, drain: bool) -> Plan {
    Plan {
        poll: options.poll_interval_ms,
        lease_seconds: options.lease_seconds,
        max_in_flight: options.max_in_flight,
        // Who calls for one round now means now.
        hours: options.active_hours.clone().filter(|_| !drain),
        drain,
    }
}

pub fn say_who_writes(options: &Options) {
    match options.endpoint() {
        Ok(Some(endpoint)) => tracing::info!(
            endpoint = endpoint.label(),
            "a model writes. What word lists wrote before it was there can be retired, in the game's database: \
             SELECT worker.retire_items('builtin');"
        ),
        _ => tracing::warn!(
            "LOCAL_LLM_ENDPOINT is not set: items come from built-in word lists, not from a model"
        ),
    }
}

/// The first signal asks for an orderly end within `bound`, the second one for an end at once.
pub fn stop_on_signals(bound: Duration) -> Result<Stop, Failure> {
    let mut signals =
        Signals::watch().map_err(|error| Failure::Other(format!("cannot watch for signals: {error}")))?;
    let (tell, stop) = watch::channel(None);
    tokio::spawn(async move {
        let mut patience = bound;
        loop {
            signals.next().await;
            tell.send_replace(Some(Instant::now() + patience));
            patience = Duration::ZERO;
        }
    });
    Ok(stop)
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn watch() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Ctrl-C, which is all that there is elsewhere.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn watch() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
