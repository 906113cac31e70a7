//! The tick: pool checks, pruning, and when the next tick is worth it.

use crate::steps::{enqueue_quests, lease_one, status};
use pg_worker_tests::{Cluster, Database, Session, on_both_installs};
use serde_json::{Value, json};
use uuid::Uuid;

on_both_installs!(
    a_tick_does_the_pool_check_and_says_what_it_found,
    a_pool_check_takes_up_the_campaigns_of_the_game,
    old_finished_jobs_are_pruned,
    retention_zero_keeps_all,
    executors_not_seen_for_a_day_are_forgotten,
    the_next_due_time_is_known,
);

fn tick(session: &mut Session) -> Value {
    session.value("select worker.tick()", &[])
}

/// A pool's entry in the result of a check.
fn pool<'r>(result: &'r Value, kind: &str) -> &'r Value {
    let pools = result["pools"].as_array().expect("a list of pools");
    pools
        .iter()
        .find(|pool| pool["kind"] == kind)
        .unwrap_or_else(|| panic!("{kind}: {result}"))
}

fn a_tick_does_the_pool_check_and_says_what_it_found(database: &Database) {
    let mut session = database.session();
    session.run(
        "insert into quest_templates (title, description) select 'Quest ' || n, 'By hand.' from generate_series(1, 4) n",
    );
    enqueue_quests(&mut session, 3);
    let check: Uuid = session.value("select schedule_pool_check()", &[]);
    let done = tick(&mut session);
    assert_eq!((&done["rescued"], &done["pruned"]), (&json!(0), &json!(0)));
    let row = session.row(
        "select status, result, completed_at >= started_at from worker_jobs where id = $1",
        &[&check],
    );
    assert_eq!(row.get::<_, &str>(0), "completed");
    assert!(row.get::<_, bool>(2));
    let result: Value = row.get(1);
    let expected = json!({"kind": "quest", "available": 4, "minimum": 20, "on_the_way": 16, "enqueued": 13});
    assert_eq!(pool(&result, "quest"), &expected);
    for (kind, minimum) in [("npc", 30), ("encounter", 30), ("dungeon", 10)] {
        let expected = json!({"kind": kind, "available": 0, "minimum": minimum, "on_the_way": minimum, "enqueued": minimum});
        assert_eq!(pool(&result, kind), &expected);
    }
    assert_eq!(result["jobs"], done["enqueued"]);
    assert_eq!(tick(&mut session)["enqueued"], 0);
}

fn a_pool_check_takes_up_the_campaigns_of_the_game(database: &Database) {
    let mut session = database.session();
    session.run(
        "create table characters (id uuid default gen_random_uuid(), campaign_seed text);
         insert into characters (campaign_seed) values ('north'), ('north'), ('south'), (null), ('');
         select worker.setup()",
    );
    session.run("select schedule_pool_check()");
    tick(&mut session);
    let sql = "select parameters ->> 'campaign_seed', sum(asked)::int from worker_jobs
                where job_type = 'generate_pois' group by 1 order by 1";
    let asked: Vec<(String, i32)> = session
        .rows(sql, &[])
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect();
    assert_eq!(asked, [("north".to_owned(), 50), ("south".to_owned(), 50)]);
}

fn old_finished_jobs_are_pruned(database: &Database) {
    let mut session = database.session();
    session.run("update content_pools set enabled = false");
    for state in ["pending", "running", "completed", "failed", "cancelled"] {
        for days in [6, 8] {
            let job = enqueue_quests(&mut session, 1);
            session.rows(
                "update worker_jobs set status = $2, created_at = now() - $3 * interval '1 day',
                        lease_expires_at = now() + interval '1 hour',
                        completed_at = now() - $3 * interval '1 day' where id = $1",
                &[&job, &state, &f64::from(days)],
            );
        }
    }
    assert_eq!(session.value::<i32>("select worker.prune_jobs()", &[]), 3);
    let left = "select status || extract(day from now() - created_at) from worker_jobs order by 1";
    assert_eq!(
        session.column::<String>(left, &[]),
        [
            "cancelled6",
            "completed6",
            "failed6",
            "pending6",
            "pending8",
            "running6",
            "running8"
        ]
    );
}

fn retention_zero_keeps_all(database: &Database) {
    let mut session = database.session();
    let job = enqueue_quests(&mut session, 1);
    session.run("update worker_jobs set status = 'failed', completed_at = now() - interval '9 years'");
    session.run(&format!(
        "alter database {} set pg_worker_ext.retention = '0'",
        database.name()
    ));
    let mut fresh = database.session();
    assert_eq!(fresh.value::<i32>("select worker.prune_jobs()", &[]), 0);
    assert_eq!(status(&mut fresh, job), "failed");
    session.run(&format!(
        "alter database {} set pg_worker_ext.retention = '1h'",
        database.name()
    ));
    let mut fresh = database.session();
    assert_eq!(fresh.value::<i32>("select worker.prune_jobs()", &[]), 1);
}

fn executors_not_seen_for_a_day_are_forgotten(database: &Database) {
    let mut session = database.session();
    for name in ["old", "new"] {
        let info = json!({"host": name, "state": "idle"});
        session.rows("select worker.report_executor(gen_random_uuid(), $1)", &[&info]);
    }
    session.run(
        "update worker.executors set last_seen = now() - interval '25 hours' where info ->> 'host' = 'old'",
    );
    session.run("select worker.prune_jobs()");
    assert_eq!(
        session.column::<String>("select host from worker_executors", &[]),
        ["new"]
    );
}

fn the_next_due_time_is_known(database: &Database) {
    let mut session = database.session();
    session.run("update content_pools set enabled = false");
    let due = "select worker.next_due()";
    assert_eq!(
        session.value::<Option<chrono::DateTime<chrono::Utc>>>(due, &[]),
        None
    );
    let same = |session: &mut Session, expression: &str| {
        session.value::<Option<bool>>(&format!("select worker.next_due() = ({expression})"), &[])
            == Some(true)
    };
    session.run("select enqueue_worker_job('generate_quests', p_run_at => now() + interval '2 hours')");
    assert!(same(&mut session, "select max(run_at) from worker_jobs"));
    enqueue_quests(&mut session, 1);
    assert!(
        same(&mut session, "select max(run_at) from worker_jobs"),
        "what is due now is the executors' business"
    );
    lease_one(&mut session);
    assert!(same(
        &mut session,
        "select lease_expires_at from worker_jobs where status = 'running'"
    ));
    session.run("select schedule_pool_check()");
    assert!(same(
        &mut session,
        "select run_at from worker_jobs where job_type = 'check_all_pools'"
    ));
}

/// Where the library is loaded, `refill` is a setting of the whole server.
#[test]
fn with_refill_off_a_pool_check_that_is_asked_for_is_done() {
    let cluster = Cluster::own(&[
        "pg_worker_ext.background_worker = off",
        "pg_worker_ext.refill = off",
    ]);
    let database = Database::with_extension(&cluster);
    let mut session = database.session();
    assert_eq!(tick(&mut session)["enqueued"], 0);
    session.run("select schedule_pool_check()");
    assert!(tick(&mut session)["enqueued"].as_i64() > Some(0));
    assert_eq!(
        session.count("worker_jobs where job_type = 'check_all_pools' and status = 'completed'"),
        1
    );
}
