//! What can happen to a queue, as steps that a generator draws and a person reads.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Which lease or job a step is about: counted back from the newest, so that a shrunk case speaks of 0.
#[derive(Clone, Copy, Debug)]
pub enum Pick {
    /// Of those with which the step can do something: held leases, jobs in a fitting state.
    Fit(usize),
    /// Of all that ever were.
    Any(usize),
}

/// Which number an item is stored under.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    /// The one that comes next.
    Next,
    This(Option<i32>),
}

/// One step. Times are in moments (see [`super::MOMENT`]).
#[derive(Clone, Debug)]
pub enum Op {
    Enqueue {
        count: i32,
        priority: i32,
        delay: i64,
        key: Option<u8>,
    },
    SchedulePoolCheck,
    Lease {
        limit: i32,
        moments: i64,
        least: i32,
    },
    Beat {
        leases: Vec<Pick>,
        moments: i64,
    },
    Next {
        lease: Pick,
        in_flight: Vec<i32>,
        item_no: Option<i32>,
    },
    Store {
        lease: Pick,
        number: Number,
        title: u8,
        good: bool,
    },
    Reject {
        lease: Pick,
    },
    Complete {
        lease: Pick,
    },
    Fail {
        lease: Pick,
        permanent: bool,
    },
    Release {
        lease: Pick,
        delay: i64,
    },
    Cancel {
        job: Pick,
    },
    Retry {
        job: Pick,
    },
    Claim {
        high: bool,
        request: Option<u8>,
    },
    Rescue,
    Refill,
    Prune,
    Tick,
    /// The guide's statement for jobs that have run for more than 30 minutes.
    ResetStuck,
    /// A worker of somebody's own, or an administrator: a plain UPDATE of the status.
    SetRunning {
        job: Pick,
    },
    SetPending {
        job: Pick,
    },
    DeleteFinished,
    Pass {
        moments: i64,
    },
}

fn pick() -> impl Strategy<Value = Pick> {
    prop_oneof![
        6 => Just(Pick::Fit(0)),
        2 => (0..3_usize).prop_map(Pick::Fit),
        2 => (0..12_usize).prop_map(Pick::Any),
    ]
}

/// The numbers of items: mostly fitting ones.
fn number() -> impl Strategy<Value = Option<i32>> {
    prop_oneof![6 => (1..4_i32).prop_map(Some), 1 => (-1..6_i32).prop_map(Some), 1 => Just(None)]
}

fn enqueue() -> impl Strategy<Value = Op> {
    let delay = prop_oneof![4 => Just(0_i64), 1 => 1..4_i64];
    let key = prop_oneof![2 => Just(None), 1 => (0..2_u8).prop_map(Some)];
    (1..4_i32, 1..4_i32, delay, key).prop_map(|(count, priority, delay, key)| Op::Enqueue {
        count,
        priority,
        delay,
        key,
    })
}

fn lease() -> impl Strategy<Value = Op> {
    let least = prop_oneof![4 => Just(10), 1 => 1..4_i32];
    (1..4_i32, prop_oneof![2 => 1..4_i64, 1 => Just(120)], least).prop_map(|(limit, moments, least)| {
        Op::Lease {
            limit,
            moments,
            least,
        }
    })
}

fn store() -> impl Strategy<Value = Op> {
    let number = prop_oneof![4 => Just(Number::Next), 1 => number().prop_map(Number::This)];
    (pick(), number, 0..200_u8, prop::bool::weighted(0.9)).prop_map(|(lease, number, title, good)| {
        Op::Store {
            lease,
            number,
            title,
            good,
        }
    })
}

fn next() -> impl Strategy<Value = Op> {
    (
        pick(),
        vec(1..4_i32, 0..3),
        prop_oneof![3 => Just(None), 1 => number()],
    )
        .prop_map(|(lease, in_flight, item_no)| Op::Next {
            lease,
            in_flight,
            item_no,
        })
}

fn maintenance() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => Just(Op::Rescue),
        3 => Just(Op::Refill),
        2 => Just(Op::SchedulePoolCheck),
        1 => Just(Op::Prune),
        1 => Just(Op::Tick),
    ]
}

fn by_hand() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => Just(Op::ResetStuck),
        1 => pick().prop_map(|job| Op::SetRunning { job }),
        1 => pick().prop_map(|job| Op::SetPending { job }),
        1 => Just(Op::DeleteFinished),
    ]
}

/// Seconds, a retry's pauses, the end of a long lease, a guide's 30 minutes, and the retention.
fn pass() -> impl Strategy<Value = Op> {
    prop_oneof![8 => 1..5_i64, 2 => Just(30), 2 => Just(60), 1 => Just(120), 1 => Just(7 * 2880)]
        .prop_map(|moments| Op::Pass { moments })
}

/// What rarely comes together by chance: leases that run out until the attempts are spent, finished
/// jobs that come of age.
fn story() -> impl Strategy<Value = Vec<Op>> {
    let lease = || Op::Lease {
        limit: 1,
        moments: 1,
        least: 10,
    };
    let out = move || vec![lease(), Op::Pass { moments: 1 }, Op::Rescue];
    let (fit, age) = (Pick::Fit(0), 7 * 2880);
    prop_oneof![
        3 => Just([out(), out(), out()].concat()),
        1 => (-1..2_i64).prop_map(move |more| {
            vec![Op::Cancel { job: fit }, Op::Pass { moments: age + more }, Op::Prune]
        }),
    ]
}

/// A course of events: mostly any steps, here and there a story.
pub fn course(longest: usize) -> impl Strategy<Value = Vec<Op>> {
    let part = prop_oneof![30 => any().prop_map(|op| vec![op]), 1 => story()];
    vec(part, 1..=longest).prop_map(|parts| parts.concat())
}

/// Any step, as often as it takes for jobs to get somewhere.
fn any() -> impl Strategy<Value = Op> {
    prop_oneof![
        14 => enqueue(),
        24 => lease(),
        40 => store(),
        5 => next(),
        2 => pick().prop_map(|lease| Op::Reject { lease }),
        14 => pick().prop_map(|lease| Op::Complete { lease }),
        5 => (pick(), prop::bool::weighted(0.3)).prop_map(|(lease, permanent)| Op::Fail { lease, permanent }),
        4 => (pick(), 0..4_i64).prop_map(|(lease, delay)| Op::Release { lease, delay }),
        4 => (vec(pick(), 1..3), 1..4_i64).prop_map(|(leases, moments)| Op::Beat { leases, moments }),
        3 => pick().prop_map(|job| Op::Cancel { job }),
        6 => pick().prop_map(|job| Op::Retry { job }),
        6 => (prop::bool::weighted(0.2), option::weighted(0.4, 0..3_u8))
            .prop_map(|(high, request)| Op::Claim { high, request }),
        8 => maintenance(),
        4 => by_hand(),
        10 => pass(),
    ]
}
