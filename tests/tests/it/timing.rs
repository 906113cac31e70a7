//! When workers do what, and whose turn it is: the background worker's timing is pure arithmetic, and is tried here
//! with whatever may come.

#[path = "../../../pg_worker_ext/src/moment.rs"]
#[allow(dead_code, reason = "the library uses more of it")]
mod moment;
#[path = "../../../pg_worker_ext/src/worker/schedule.rs"]
#[allow(dead_code, reason = "the library uses more of it")]
mod schedule;
#[path = "../../../pg_worker_ext/src/launcher/turns.rs"]
#[allow(dead_code, reason = "the library uses more of it")]
mod turns;

use moment::Moment;
use proptest::prelude::*;
use schedule::{LINGER, Next, Notes, STEPS, Schedule, Step};
use std::time::Duration;
use turns::{Standing, TURN, deal};

const VISIT_GAP: Duration = Duration::from_secs(1800);

/// What happens next to a worker.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// Somebody wishes for a step.
    Wish(usize),
    /// Somebody says when something is due.
    Due(u32),
    /// Time goes by.
    Pass(u32),
}

/// How the steps end.
#[derive(Clone, Copy, Debug)]
struct Luck {
    /// Which of them fail.
    fails: [bool; STEPS.len()],
    /// What a look finds due, in milliseconds.
    due_in: Option<u32>,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        (0..STEPS.len()).prop_map(Event::Wish),
        (0..5_000_000_u32).prop_map(Event::Due),
        (0..3_000_000_u32).prop_map(Event::Pass),
    ];
    prop::collection::vec(event, 0..40)
}

fn luck() -> impl Strategy<Value = Luck> {
    (any::<[bool; STEPS.len()]>(), prop::option::of(0..20_000_u32))
        .prop_map(|(fails, due_in)| Luck { fails, due_in })
}

fn attempt(schedule: &mut Schedule, step: Step, now: Moment, luck: Luck) {
    if luck.fails[step as usize] {
        schedule.failed(step, now);
    } else if step == Step::Look {
        let due_in = luck.due_in.map(|wait| Duration::from_millis(wait.into()));
        schedule.looked(now, due_in, VISIT_GAP);
    } else {
        schedule.done(step, now);
    }
}

proptest! {
    /// A core is never kept busy: the sleep is 0 only where a step is wished for and may be done, and one that fails is not
    /// done again and again.
    #[test]
    fn it_sleeps_unless_something_is_wanted(events in events(), luck in luck()) {
        let mut now = Moment(1_000_000_000);
        let mut schedule = Schedule::new(now, Notes::EMPTY);
        let mut done = 0;
        for event in events.into_iter().chain([Event::Pass(60_000_000); 3]) {
            match event {
                Event::Wish(step) => schedule.want(STEPS[step]),
                Event::Due(wait) => schedule.due_at(now + Duration::from_micros(wait.into())),
                Event::Pass(microseconds) => now = now + Duration::from_micros(microseconds.into()),
            }
            // No time passes while it is asked again: it must come to a rest.
            for round in 0.. {
                match schedule.next(now) {
                    Next::Do(step) => {
                        prop_assert!(schedule.wants(step));
                        attempt(&mut schedule, step, now, luck);
                        done += 1;
                    }
                    Next::Sleep(until) => {
                        prop_assert!(until > now, "{until:?} is not after {now:?}");
                        break;
                    }
                    Next::Leave => {
                        prop_assert!(schedule.due() > now + LINGER);
                        break;
                    }
                }
                prop_assert!(round < 20, "does not come to a rest");
            }
        }
        prop_assert!(done > 0, "begins with a look");
    }

    /// What is wished for is done, or tried until it succeeds, whoever of many short-lived workers does it.
    #[test]
    fn no_wish_is_lost(events in events(), luck in luck()) {
        let mut now = Moment(1_000_000_000);
        let mut schedule = Schedule::new(now, Notes::EMPTY);
        let mut open = [true; STEPS.len()];
        let succeed = Luck { fails: [false; STEPS.len()], due_in: None };
        let happening = events.into_iter().map(|event| (event, luck));
        // Then all goes well, for an hour.
        let later = std::iter::repeat_n((Event::Pass(0), succeed), 400);
        for (event, luck) in happening.chain(later) {
            if let Event::Wish(step) = event {
                schedule.want(STEPS[step]);
                open[step] = true;
            }
            match schedule.next(now) {
                Next::Do(step) => {
                    attempt(&mut schedule, step, now, luck);
                    open[step as usize] &= luck.fails[step as usize];
                }
                Next::Sleep(until) => now = until,
                Next::Leave => {
                    now = schedule.due();
                    schedule = Schedule::new(now, schedule.notes());
                }
            }
        }
        prop_assert_eq!(open, [false; STEPS.len()]);
    }

    /// A step that always fails is tried a few times a minute, also by workers that come and go.
    #[test]
    fn what_fails_is_tried_at_growing_intervals(step in 0..STEPS.len()) {
        let mut now = Moment(1_000_000_000);
        let end = now + Duration::from_secs(600);
        let mut fails = [false; STEPS.len()];
        fails[step] = true;
        let mut schedule = Schedule::new(now, Notes::EMPTY);
        let mut tried = 0;
        while now < end {
            match schedule.next(now) {
                Next::Do(tries) => {
                    tried += u32::from(tries == STEPS[step]);
                    attempt(&mut schedule, tries, now, Luck { fails, due_in: Some(0) });
                }
                Next::Sleep(until) => now = until,
                Next::Leave => {
                    now = schedule.due();
                    schedule = Schedule::new(now, schedule.notes());
                }
            }
        }
        prop_assert!((6..=20).contains(&tried), "{} times in ten minutes", tried);
    }

    /// Never more workers than places, and nobody waits while one is free.
    #[test]
    fn places_are_dealt_out(standings in prop::collection::vec((0..3_u8, 0..10_000_000_i64), 0..40), places in 1..5_usize) {
        let now = Moment(10_000_000);
        let databases: Vec<_> = standings.iter().enumerate().map(|(key, (sort, at))| (key, match sort {
            0 => Standing::Running(Moment(*at)),
            1 => Standing::Waiting(Moment(*at)),
            _ => Standing::Resting(now + Duration::from_micros(*at as u64 + 1)),
        })).collect();
        let turns = deal(&databases, places, now);
        let running = databases.iter().filter(|(_, s)| matches!(s, Standing::Running(_))).count();
        let waiting = databases.iter().filter(|(_, s)| matches!(s, Standing::Waiting(_))).count();
        prop_assert_eq!(turns.start.len(), waiting.min(places.saturating_sub(running)));
        prop_assert!(turns.again_at > now);
        if turns.start.len() < waiting {
            prop_assert!(turns.again_at <= now + TURN);
        }
    }
}

/// Who enqueues without a pause, or asks again and again whether he is served, keeps nothing else from being done.
#[test]
fn a_flood_of_wishes_puts_nothing_off() {
    let luck = Luck {
        fails: [false; STEPS.len()],
        due_in: None,
    };
    let mut now = Moment(1_000_000_000);
    let mut schedule = Schedule::new(now, Notes::EMPTY);
    let mut done = [0; STEPS.len()];
    for _ in 0..1000 {
        schedule.want(Step::Notify);
        schedule.want(Step::Refill);
        while let Next::Do(step) = schedule.next(now) {
            done[step as usize] += 1;
            attempt(&mut schedule, step, now, luck);
        }
        now = now + Duration::from_millis(5);
    }
    // In five seconds: a look every 250 ms, a refill every second.
    assert!(
        done[Step::Look as usize] >= 18 && done[Step::Refill as usize] >= 5,
        "{done:?}"
    );
}

/// With one place, who waits longest is next, and whoever has had his time makes room.
#[test]
fn turns_are_taken() {
    let names = ["a", "b", "c"];
    let mut now = Moment(0);
    let mut standing = [Standing::Waiting(now); 3];
    let mut turns_of = [0; 3];
    for _ in 0..30 {
        let databases: Vec<_> = (0..3).map(|index| (index, standing[index])).collect();
        let turns = deal(&databases, 1, now);
        for index in &turns.start {
            standing[*index] = Standing::Running(now);
            turns_of[*index] += 1;
        }
        if let Some(index) = turns.make_room {
            standing[index] = Standing::Waiting(now);
        }
        now = now + Duration::from_millis(500);
    }
    assert!(turns_of.iter().all(|turns| *turns >= 2), "{names:?} {turns_of:?}");
}
