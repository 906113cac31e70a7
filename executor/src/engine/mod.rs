//! Works off the queue. One task owns the book of leased jobs and decides; everything that waits
//! (a look at the queue, a beat, an item, the report of an end, a probe) is a task of its own and
//! comes back as an event. So a slow model or a silent database never stops the heartbeats.
//!
//! `queue` says when to look, `book` which job gets a free slot, `slots` when, `models` how many of each model,
//! `attempt` makes one item, `ends` draws the conclusions, `leases` takes jobs up and gives them up.

mod attempt;
mod book;
mod budget;
mod calls;
mod ends;
mod host;
mod leases;
mod lesson;
mod models;
mod numbers;
mod places;
mod queue;
mod show;
mod slots;
mod stop;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

pub use self::attempt::TRIES;
use self::attempt::{Attempt, ItemEnd};
use self::book::{Book, Close};
use self::calls::{Event, Look};
pub use self::lesson::{Lesson, NextTry};
use self::models::Models;
use self::queue::Queue;
use self::slots::{Model, Slots};
use crate::door::{Door, DoorError};
use crate::generator::Generator;
use crate::listen::{Ear, Listener};
use crate::retry::{self, Backoff};
use crate::schema::Schemas;
use crate::settings::ActiveHours;
use crate::vitals::Vitals;

/// How often an executor that hears nothing looks at the queue, at least.
pub const DEAF_POLL: Duration = Duration::from_secs(5);
/// The loop turns at least this often, so that a stuck one can be told from an idle one.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);
/// So many items for each slot may be under way: where storing takes longer than writing, that is what has to wait.
const UNSTORED: usize = 3;
/// Over all models, where no setting says how many.
const MOST_IN_FLIGHT: usize = 256;
/// While only another model than the usual one can write: jobs that may turn out to be of the usual one before
/// nothing is leased until its next probe. Whose model it is shows only with a job's first item.
const IN_VAIN_AT_MOST: usize = 8;
/// People who look at `worker_executors` see what was at most so long ago.
const REPORT_GAP: Duration = Duration::from_secs(1);
/// How often to ask for a job of an empty pool while the model host is away.
const FALLBACK_GAP: Duration = Duration::from_secs(5);

/// What the work is done with.
pub struct Tools {
    pub door: Door,
    pub generator: Arc<dyn Generator>,
    /// Who writes for empty pools while the model host is away.
    pub fallback: Option<Arc<dyn Generator>>,
    pub schemas: Schemas,
    pub vitals: Arc<Vitals>,
    /// How long a database that is away is waited for before written work is given up.
    pub patience: Duration,
}

impl Tools {
    /// Repeats a call to the database while it is away: every verb may be repeated, and what is at stake (a
    /// written item, the end of a job) is worth waiting for, within the time that a lease may last.
    pub async fn patiently<T, F>(&self, call: impl FnMut() -> F) -> Result<T, DoorError>
    where
        F: Future<Output = Result<T, DoorError>>,
    {
        retry::patiently(self.patience, DoorError::is_temporary, call).await
    }
}

/// How the work is done.
#[derive(Clone, Debug)]
pub struct Plan {
    pub poll: Duration,
    pub lease_seconds: i32,
    pub max_in_flight: Option<usize>,
    /// Outside of these nothing is begun.
    pub hours: Option<ActiveHours>,
    /// End when nothing is due any more.
    pub drain: bool,
}

/// Until when items may still be finished; None while nobody asked to stop.
pub type Stop = watch::Receiver<Option<Instant>>;

/// Why there is no point in going on.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    #[error("{0}")]
    Misfit(String),
    /// Only when draining: somebody waits for the end.
    #[error("{0}")]
    Stranded(String),
}

pub struct Engine {
    id: Uuid,
    tools: Arc<Tools>,
    plan: Plan,
    listener: Option<Listener>,
    stop: Stop,
    book: Book,
    queue: Queue,
    models: Models,
    slots: Arc<Slots>,
    items: JoinSet<(Option<Model>, ItemEnd)>,
    /// The lease, by its token, that each of the `items` belongs to.
    working: HashMap<Id, (Uuid, AbortHandle)>,
    calls: JoinSet<Event>,
    /// Jobs in a row that were leased for a model that is away, while only others can write.
    leased_in_vain: usize,
    beating: bool,
    next_beat: Instant,
    /// Beats in a row that got no answer.
    beat_failures: Backoff,
    reporting: bool,
    /// Since when somebody wants us to stop.
    stopping: Option<Instant>,
    /// When the database is to be told again that there are jobs in hand.
    next_report: Instant,
    /// When to ask for a job of an empty pool; None while that is being asked.
    next_fallback: Option<Instant>,
}

impl Engine {
    pub fn new(id: Uuid, tools: Arc<Tools>, plan: Plan, listener: Option<Listener>, stop: Stop) -> Self {
        let now = Instant::now();
        Self {
            id,
            tools,
            listener,
            stop,
            book: Book::default(),
            queue: Queue::new(now),
            models: Models::new(now, plan.max_in_flight, plan.poll),
            slots: Slots::new(plan.max_in_flight.unwrap_or(MOST_IN_FLIGHT)),
            leased_in_vain: 0,
            items: JoinSet::new(),
            working: HashMap::new(),
            calls: JoinSet::new(),
            beating: false,
            next_beat: now,
            beat_failures: Backoff::new(retry::CALL),
            reporting: false,
            stopping: None,
            next_report: now,
            next_fallback: Some(now),
            plan,
        }
    }

    async fn turn(&mut self) -> Result<(), Fatal> {
        loop {
            self.proceed(Instant::now());
            self.show();
            if self.is_over(Instant::now())? {
                return Ok(());
            }
            let wake = self.next_wake(Instant::now());
            tokio::select! {
                () = hear(self.listener.as_ref()) => self.queue.heard(),
                Some(end) = self.items.join_next_with_id() => self.item_ended(end),
                Some(event) = self.calls.join_next() => self.called_back(event)?,
                () = self.slots.given_back() => {}
                Ok(()) = self.stop.changed() => tracing::info!("stopping: no new items are begun"),
                () = sleep_until(wake) => {}
            }
        }
    }

    /// Starts whatever can be started now.
    fn proceed(&mut self, now: Instant) {
        let stop = *self.stop.borrow();
        if let Some(deadline) = stop {
            self.stopping.get_or_insert(now);
            self.book.doom(&Close::Release {
                reason: "the executor was stopped".into(),
                delay: 0,
            });
            if now >= deadline {
                self.items.abort_all();
            }
        }
        if !self.is_awake() {
            let reason = self.rest_reason();
            self.book.doom(&Close::Release { reason, delay: 0 });
        }
        self.begin_items();
        self.report_ends();
        self.beat(now);
        self.probe(now);
        self.look(now);
        self.fall_back(now);
    }

    /// Nothing but the model host can be in the way.
    fn is_at_work(&self) -> bool {
        self.queue.is_reachable() && self.stop.borrow().is_none() && self.is_awake()
    }

    fn is_awake(&self) -> bool {
        self.plan.hours.as_ref().is_none_or(ActiveHours::are_now)
    }

    fn begin_items(&mut self) {
        self.models.set(Instant::now(), &self.slots);
        let most = UNSTORED * self.models.usual().budget.now().max(self.slots.held());
        while self.is_at_work() && self.working.len() < most {
            let (models, slots) = (&self.models, &self.slots);
            let begun = self.book.begin_item(|held| {
                let model = held.model.clone().unwrap_or_default();
                let up = models.is_up(&model) || held.fallback || held.model.is_none();
                up && slots.free(&model) > 0
            });
            let Some(held) = begun else { return };
            let usual = &self.tools.generator;
            let fallback = self.tools.fallback.as_ref().filter(|_| held.fallback);
            let wish = slots.wish(held.model.clone().unwrap_or_default(), held.lease.priority);
            let attempt = Attempt {
                generator: Arc::clone(fallback.unwrap_or(usual)),
                tools: Arc::clone(&self.tools),
                lease: Arc::clone(&held.lease),
                numbers: Arc::clone(&held.numbers),
                slots: Arc::clone(slots),
                first_try: held.rejected,
                model: OnceLock::new(),
            };
            let token = held.lease.token;
            let handle = self.items.spawn(attempt.run(wish));
            self.working.insert(handle.id(), (token, handle));
        }
    }

    fn may_lease(&self) -> bool {
        let others = self.models.only_others_are_up() && self.leased_in_vain < IN_VAIN_AT_MOST;
        self.is_at_work() && (self.models.is_up(&None) || others)
    }

    fn look(&mut self, now: Instant) {
        if self.stopping.is_some() {
            return;
        }
        let budget = self.models.usual().budget.now();
        let free = || {
            if self.models.is_up(&None) {
                self.slots.free(&None)
            } else {
                1
            }
        };
        let room = self.may_lease().then(|| self.book.room(free(), budget)).flatten();
        if let Some(lease) = self.queue.begin_look(now, room) {
            let look = Look {
                executor: self.id,
                lease_seconds: self.plan.lease_seconds,
                info: self.info(),
                inspect: lease.is_none() || self.queue.is_due(now),
                tick: self.queue.ticking || self.plan.drain,
                lease,
            };
            self.calls.spawn(look.take(Arc::clone(&self.tools)));
        }
    }

    /// How long until the next look when nobody calls.
    fn poll(&self) -> Duration {
        match self.listener.as_ref().map(Listener::ear) {
            Some(Ear::Hears) => self.plan.poll,
            _ => self.plan.poll.min(DEAF_POLL),
        }
    }
}

async fn hear(listener: Option<&Listener>) {
    match listener {
        Some(listener) => listener.heard().await,
        None => std::future::pending().await,
    }
}
