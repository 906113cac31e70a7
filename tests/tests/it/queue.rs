//! The queue as the game sees it: enqueue, the promises about twins, cancel and retry, and plain SQL
//! on `worker_jobs`, which has the same effects as the functions.

use pg_worker_tests::{Database, Session};
use serde_json::json;
use uuid::Uuid;

fn enqueue(session: &mut Session, job_type: &str) -> Uuid {
    session.value("select enqueue_worker_job($1)", &[&job_type])
}

fn status(session: &mut Session, job: Uuid) -> String {
    session.value("select status from worker_jobs where id = $1", &[&job])
}

/// Leases the most urgent job as an executor would: its id and the lease token.
fn lease(session: &mut Session) -> (Uuid, Uuid) {
    let row = session.row(
        "select job_id, lease_token from worker.lease_jobs(gen_random_uuid())",
        &[],
    );
    (row.get(0), row.get(1))
}

#[test]
fn a_job_takes_the_defaults_of_its_pool() {
    let db = Database::quiet();
    let mut game = db.session();
    let job = enqueue(&mut game, "generate_npcs");
    let row = game.row(
        "select status, priority, parameters, asked from worker_jobs where id = $1",
        &[&job],
    );
    assert_eq!(row.get::<_, String>(0), "pending");
    assert_eq!(row.get::<_, i32>(1), 5);
    assert_eq!(row.get::<_, serde_json::Value>(2), json!({}));
    assert_eq!(row.get::<_, i32>(3), 15, "the batch size of the guide");
}

#[test]
fn null_means_the_default_in_every_optional_argument() {
    let db = Database::quiet();
    let mut game = db.session();
    let sql = "select enqueue_worker_job('generate_quests', null, null, null, null)";
    let job: Uuid = game.value(sql, &[]);
    assert_eq!(
        game.value::<i32>("select priority from worker_jobs where id = $1", &[&job]),
        5
    );
    let code = game.refused("select enqueue_worker_job(null)", &[]);
    assert_eq!(code.code(), "22023", "{code:?}");
}

#[test]
fn a_rolled_back_enqueue_never_was() {
    let db = Database::quiet();
    let mut game = db.session();
    game.run("begin; select enqueue_worker_job('generate_quests'); rollback");
    assert_eq!(game.count("worker_jobs"), 0);
}

#[test]
fn a_dedupe_key_gives_the_unfinished_twin() {
    let db = Database::quiet();
    let mut game = db.session();
    let sql = "select enqueue_worker_job('generate_quests', p_dedupe_key => 'tonight')";
    let first: Uuid = game.value(sql, &[]);
    assert_eq!(game.value::<Uuid>(sql, &[]), first, "pending");
    lease(&mut game);
    assert_eq!(game.value::<Uuid>(sql, &[]), first, "running");
    game.run("update worker_jobs set status = 'completed'");
    assert_ne!(game.value::<Uuid>(sql, &[]), first, "completed");
}

#[test]
fn a_pool_check_is_pending_at_most_once_however_many_ask() {
    let db = Database::quiet();
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let config = db.config();
            std::thread::spawn(move || {
                Session::open(&config).value::<Option<Uuid>>("select schedule_pool_check()", &[])
            })
        })
        .collect();
    let answers: Vec<Option<Uuid>> = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
    assert_eq!(answers.iter().flatten().count(), 1, "{answers:?}");
    assert_eq!(
        db.session()
            .count("worker_jobs where job_type = 'check_all_pools'"),
        1
    );
}

#[test]
fn the_most_urgent_job_is_leased_first() {
    let db = Database::quiet();
    let mut game = db.session();
    for priority in [5, 1, 10, 2] {
        game.rows(
            "select enqueue_worker_job('generate_quests', p_priority => $1)",
            &[&priority],
        );
    }
    let sql = "select priority from worker.lease_jobs(gen_random_uuid(), 10)";
    assert_eq!(game.column::<i32>(sql, &[]), [1, 2, 5, 10]);
}

#[test]
fn a_job_is_not_leased_before_its_time() {
    let db = Database::quiet();
    let mut game = db.session();
    game.run("select enqueue_worker_job('generate_quests', p_run_at => now() + interval '1 hour')");
    assert_eq!(game.count("worker.lease_jobs(gen_random_uuid())"), 0);
}

#[test]
fn a_cancelled_job_tells_its_executor_and_can_be_retried() {
    let db = Database::quiet();
    let mut game = db.session();
    let job = enqueue(&mut game, "generate_quests");
    let (_, token) = lease(&mut game);
    assert!(game.value::<bool>("select cancel_worker_job($1)", &[&job]));
    let sql = "select outcome from worker.heartbeat(array[$1::uuid], array[$2::uuid])";
    assert_eq!(game.value::<String>(sql, &[&job, &token]), "cancelled");
    assert!(
        !game.value::<bool>("select cancel_worker_job($1)", &[&job]),
        "only once"
    );
    assert!(game.value::<bool>("select retry_worker_job($1)", &[&job]));
    assert_eq!(status(&mut game, job), "pending");
    assert!(
        !game.value::<bool>("select retry_worker_job($1)", &[&job]),
        "it is no failed job any more"
    );
}

#[test]
fn the_guides_reset_of_stuck_jobs_ends_the_lease() {
    let db = Database::quiet();
    let mut game = db.session();
    let job = enqueue(&mut game, "generate_quests");
    let (_, token) = lease(&mut game);
    game.run("update worker_jobs set started_at = now() - interval '1 hour'");
    game.run(
        "update worker_jobs set status = 'failed', error_message = 'Job timeout - reset by admin'
          where status = 'running' and started_at < now() - interval '30 minutes'",
    );
    let row = game.row(
        "select status, completed_at is not null from worker_jobs where id = $1",
        &[&job],
    );
    assert_eq!(
        (row.get::<_, String>(0), row.get::<_, bool>(1)),
        ("failed".to_owned(), true)
    );
    let outcome = "select outcome from worker.complete_job($1, $2)";
    assert_eq!(game.value::<String>(outcome, &[&job, &token]), "lease lost");
}

#[test]
fn a_plain_insert_is_checked_like_a_call() {
    let db = Database::quiet();
    let mut game = db.session();
    game.run("insert into worker_jobs (job_type, parameters) values ('generate_quests', '{\"count\": 7}')");
    assert_eq!(game.value::<i32>("select asked from worker_jobs", &[]), 7);
    let refusal = game.refused("insert into worker_jobs (job_type) values ('make_coffee')", &[]);
    assert_eq!(refusal.code(), "22023");
    assert_eq!(game.count("worker_jobs"), 1);
}

#[test]
fn finished_jobs_can_be_deleted() {
    let db = Database::quiet();
    let mut game = db.session();
    enqueue(&mut game, "generate_quests");
    game.run("update worker_jobs set status = 'completed'");
    game.run("delete from worker_jobs where status = 'completed'");
    assert_eq!(game.count("worker_jobs"), 0);
}
