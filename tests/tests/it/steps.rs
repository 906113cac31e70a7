//! Steps that many tests take at the two doors: enqueue, lease, store, and waiting until a session
//! really waits for a lock.

use pg_worker_tests::{BOUND, Database, Session};
use serde_json::{Value, json};
use uuid::Uuid;

/// A leased job as its executor knows it.
#[derive(Clone, Debug)]
pub struct Lease {
    pub job: Uuid,
    pub token: Uuid,
    pub attempt: i32,
    pub stored: i32,
}

/// The answer of `store_item`.
#[derive(Debug, PartialEq)]
pub struct Stored {
    pub outcome: String,
    pub reason: Option<String>,
    pub item: Option<Uuid>,
    pub stored: Option<i32>,
}

/// Enqueues a job through the game's door.
#[track_caller]
pub fn enqueue(session: &mut Session, job_type: &str, parameters: Value) -> Uuid {
    session.value("select enqueue_worker_job($1, $2)", &[&job_type, &parameters])
}

/// Enqueues a job for so many quests.
#[track_caller]
pub fn enqueue_quests(session: &mut Session, count: i32) -> Uuid {
    enqueue(session, "generate_quests", json!({ "count": count }))
}

/// Leases up to `limit` jobs for a new executor.
#[track_caller]
pub fn lease(session: &mut Session, limit: i32) -> Vec<Lease> {
    let sql = "select job_id, lease_token, attempt, stored from worker.lease_jobs($1, $2)";
    let rows = session.rows(sql, &[&Uuid::new_v4(), &limit]);
    rows.iter()
        .map(|row| Lease {
            job: row.get(0),
            token: row.get(1),
            attempt: row.get(2),
            stored: row.get(3),
        })
        .collect()
}

/// Leases the one job that is due.
#[track_caller]
pub fn lease_one(session: &mut Session) -> Lease {
    let mut leases = lease(session, 2);
    assert_eq!(leases.len(), 1, "exactly one job is due");
    leases.remove(0)
}

/// A quest that its kind accepts for the default levels; each number has a title of its own.
pub fn quest(number: i32) -> Value {
    json!({
        "title": title(number),
        "description": "A miller asks you to look after eight sacks of flour that never reached the market.",
        "objectives": [{"type": "investigate", "target": "the old mill", "count": 1}],
        "level_min": 1, "level_max": 3, "xp_reward": 100, "gold_reward": 50
    })
}

/// A refusal that names this field.
#[track_caller]
pub fn refused_field(refusal: &pg_worker_tests::Refusal, field: &str) {
    assert_eq!(refusal.code(), "22023", "{refusal:?}");
    assert!(refusal.message.starts_with(&format!("{field}: ")), "{refusal:?}");
}

/// A title of two words that resembles no other number's.
pub fn title(number: i32) -> String {
    let mut state = u64::from(number.unsigned_abs()) + 1;
    let mut letter = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + u8::try_from((state >> 33) % 26).expect("a letter"))
    };
    let mut word = || (0..8).map(|_| letter()).collect::<String>();
    format!("{} {}", word(), word())
}

/// Stores an item under a number of the job.
#[track_caller]
pub fn store(session: &mut Session, lease: &Lease, item_no: i32, item: &Value) -> Stored {
    let sql = "select outcome, reason, item_id, stored from worker.store_item($1, $2, $3, $4, '{\"model\": \"m\"}')";
    let row = session.row(sql, &[&lease.job, &lease.token, &item_no, item]);
    Stored {
        outcome: row.get(0),
        reason: row.get(1),
        item: row.get(2),
        stored: row.get(3),
    }
}

/// Stores quest number `item_no`, which must succeed.
#[track_caller]
pub fn store_quest(session: &mut Session, lease: &Lease, item_no: i32) -> Uuid {
    let answer = store(session, lease, item_no, &quest(item_no));
    assert_eq!(answer.outcome, "stored", "{answer:?}");
    answer.item.expect("a stored item has an id")
}

/// The outcome and the reason of a function of the executor's door that takes job and token first;
/// `rest` are its further arguments, as SQL.
#[track_caller]
pub fn call(session: &mut Session, function: &str, lease: &Lease, rest: &str) -> (String, Option<String>) {
    let row = session.row(
        &format!("select outcome, reason from worker.{function}($1, $2{rest})"),
        &[&lease.job, &lease.token],
    );
    (row.get(0), row.get(1))
}

/// Only the outcome of [`call`].
#[track_caller]
pub fn outcome(session: &mut Session, function: &str, lease: &Lease, rest: &str) -> String {
    call(session, function, lease, rest).0
}

/// What `complete_jobs` says of several leases, in the order of their jobs' ids.
#[track_caller]
pub fn complete_together(session: &mut Session, leases: &[&Lease]) -> Vec<String> {
    let jobs: Vec<Uuid> = leases.iter().map(|lease| lease.job).collect();
    let tokens: Vec<Uuid> = leases.iter().map(|lease| lease.token).collect();
    session.column(
        "select outcome from worker.complete_jobs($1, $2)",
        &[&jobs, &tokens],
    )
}

/// What a heartbeat says of one lease.
#[track_caller]
pub fn heartbeat(session: &mut Session, lease: &Lease) -> String {
    session.value(
        "select outcome from worker.heartbeat(array[$1::uuid], array[$2::uuid])",
        &[&lease.job, &lease.token],
    )
}

/// An expression over one job's row, as text.
#[track_caller]
pub fn of_job(session: &mut Session, job: Uuid, expression: &str) -> Option<String> {
    let sql = format!("select ({expression})::text from worker_jobs where id = $1");
    session.value(&sql, &[&job])
}

/// A job's status.
#[track_caller]
pub fn status(session: &mut Session, job: Uuid) -> String {
    of_job(session, job, "status").expect("a status")
}

/// Lets the lease of a running job have ended a minute ago.
#[track_caller]
pub fn let_lease_run_out(session: &mut Session, job: Uuid) {
    let sql = "update worker_jobs set lease_expires_at = now() - interval '1 minute' where id = $1";
    assert_eq!(session.execute(sql, &[&job]).unwrap(), 1);
}

/// Waits until another session waits for a lock, as the server itself sees it.
#[track_caller]
pub fn wait_until_blocked(watcher: &mut Session, pid: i32) {
    let sql = format!("select wait_event_type = 'Lock' from pg_stat_activity where pid = {pid}");
    watcher.wait_until_true(&sql, BOUND);
}

/// What the background worker of the session's database says of itself.
const WORKER: &str = "from pg_stat_activity
    where datname = current_database() and backend_type = 'pg_worker_ext background worker'";

/// Waits until the background worker of this database has begun and ended so many rounds.
#[track_caller]
pub fn let_worker_go_round(session: &mut Session, rounds: u32) {
    // The round that is going on now may have begun before what the caller has just done.
    for _ in 0..=rounds {
        let last: String = session.value(
            &format!("select coalesce((select state_change::text {WORKER}), '-infinity')"),
            &[],
        );
        session.wait_until_true(
            &format!("select exists (select {WORKER} and state = 'idle' and state_change > '{last}')"),
            BOUND,
        );
    }
}

/// Runs a step in a session of its own while this thread goes on.
pub fn in_background<T: Send + 'static>(
    mut session: Session,
    step: impl FnOnce(&mut Session) -> T + Send + 'static,
) -> std::thread::JoinHandle<T> {
    std::thread::spawn(move || step(&mut session))
}

/// Runs the same step in `count` sessions that start together; gives what each one returned.
pub fn together<T: Send>(
    database: &Database,
    count: usize,
    step: impl Fn(&mut Session) -> T + Sync,
) -> Vec<T> {
    let start = std::sync::Barrier::new(count);
    let sessions: Vec<Session> = (0..count).map(|_| database.session()).collect();
    std::thread::scope(|scope| {
        let threads: Vec<_> = sessions
            .into_iter()
            .map(|mut session| {
                let (start, step) = (&start, &step);
                scope.spawn(move || {
                    start.wait();
                    step(&mut session)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}
