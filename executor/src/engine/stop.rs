//! When the loop turns next, and when it ends.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{Engine, Fatal, LONGEST_SLEEP};

/// After the last item: for telling the database how its jobs ended.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// With nothing in hand: for what may still bring a job, and for saying goodbye.
const FAREWELL: Duration = Duration::from_secs(1);

impl Engine {
    pub async fn run(mut self) -> Result<(), Fatal> {
        let result = self.turn().await;
        self.items.abort_all();
        self.tools.vitals.update(|facts| facts.state = "stopping");
        if !self.may_bring_jobs() {
            let farewell = self.tools.door.unregister_executor(self.id);
            let _ = timeout(FAREWELL, farewell).await;
        }
        result
    }

    pub(super) fn next_wake(&self, now: Instant) -> Instant {
        let beat = (!self.book.is_empty() && !self.beating).then_some(self.next_beat);
        let times = match (*self.stop.borrow(), self.stopping) {
            // Nothing is begun any more, so nothing else is waited for.
            (Some(deadline), Some(since)) => {
                let ends = [since + FAREWELL, deadline, deadline + LAST_WORDS];
                [beat, ends.into_iter().filter(|end| *end > now).min(), None]
            }
            // Outside of its hours the host is asked for nothing: then nothing of it is due.
            _ => {
                let probe = self.models.due().filter(|_| self.is_awake());
                [beat, self.queue.next_look(), probe]
            }
        };
        times
            .into_iter()
            .flatten()
            .min()
            .map_or(now + LONGEST_SLEEP, |next| next.min(now + LONGEST_SLEEP))
    }

    /// True when there is nothing left to do here.
    pub(super) fn is_over(&self, now: Instant) -> Result<bool, Fatal> {
        let at_rest = self.book.is_empty() && self.working.is_empty();
        if let (Some(deadline), Some(since)) = (*self.stop.borrow(), self.stopping) {
            // Who does not answer now holds nothing of ours.
            let nothing_comes = !self.may_bring_jobs() || now >= since + FAREWELL;
            return Ok(at_rest && nothing_comes || now >= deadline + LAST_WORDS);
        }
        if !self.plan.drain || !at_rest {
            return Ok(false);
        }
        if let Some(trouble) = self.models.usual().breaker.trouble() {
            return Err(Fatal::Stranded(trouble.to_string()));
        }
        Ok(self.queue.is_empty() && self.calls.is_empty())
    }

    /// A call is under way that may lease a job.
    fn may_bring_jobs(&self) -> bool {
        self.queue.is_leasing() || self.next_fallback.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Plan, Tools};
    use crate::generator::Builtin;
    use crate::schema::Schemas;
    use crate::settings::Target;
    use crate::vitals::Vitals;
    use std::sync::Arc;
    use tokio::sync::watch;
    use uuid::Uuid;

    /// An engine whose database nobody asks.
    fn engine(stop: watch::Receiver<Option<Instant>>) -> Engine {
        let bound = Duration::from_secs(10);
        let tools = Tools {
            door: crate::door::Door::new(Target::parse("postgres://me@127.0.0.1/game").unwrap(), bound)
                .unwrap(),
            generator: Arc::new(Builtin),
            fallback: None,
            schemas: Schemas::default(),
            vitals: Arc::new(Vitals::new(bound, "builtin")),
            patience: 3 * bound,
        };
        let plan = Plan {
            poll: bound,
            lease_seconds: 30,
            max_in_flight: None,
            hours: None,
            drain: false,
        };
        Engine::new(Uuid::new_v4(), Arc::new(tools), plan, None, stop)
    }

    #[tokio::test(start_paused = true)]
    async fn who_stops_waits_for_nothing_that_is_not_begun_any_more() {
        let (tell, stop) = watch::channel(None);
        let (mut engine, now) = (engine(stop), Instant::now());
        assert!(engine.next_wake(now) <= now, "a probe and a look are due");
        tell.send_replace(Some(now + Duration::from_secs(20)));
        engine.proceed(now);
        let later = now + Duration::from_secs(10);
        for at in [now, later, now + Duration::from_secs(22)] {
            assert!(engine.next_wake(at) > at, "it would spin");
        }
        assert!(
            engine.is_over(now).unwrap(),
            "nothing is in hand, and nothing comes"
        );
        engine.next_fallback = None;
        assert!(
            !engine.is_over(now).unwrap(),
            "a job may come that has to be given back"
        );
        assert!(engine.is_over(now + FAREWELL).unwrap(), "but not for ever");
    }
}
