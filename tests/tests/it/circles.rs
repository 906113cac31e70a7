//! Transactions of a game or an administrator that do two things, beside a tick that does the same two
//! in its own order: the second one waits, and none of them is ended as a deadlock.

use crate::steps::{Lease, enqueue, enqueue_quests, in_background, lease, lease_one, let_lease_run_out};
use pg_worker_tests::session::words;
use pg_worker_tests::{BOUND, Database, Session, on_both_installs, wait_until};
use serde_json::json;
use std::thread::JoinHandle;

on_both_installs!(
    a_changed_pool_and_a_pool_check_in_one_transaction,
    a_new_campaign_and_a_pool_check_in_one_transaction,
    a_changed_pool_beside_a_job_that_failed,
    a_job_that_is_completed_beside_one_that_fails,
    a_pool_check_that_another_game_asks_for_is_not_waited_for,
    items_that_are_just_claimed_are_neither_retired_nor_waited_for,
    two_who_add_the_same_kind_at_once,
);

const TICK: &str = "select worker.tick()";

fn run(session: &mut Session, sql: &str) -> Result<(), String> {
    session.batch_execute(sql).map_err(|error| words(&error))
}

/// Runs a step in a session of its own, as far as it comes: it waits for another session, or is through.
fn as_far_as_it_comes(database: &Database, sql: impl Into<String>) -> JoinHandle<Result<(), String>> {
    let (mut session, sql) = (database.session(), sql.into());
    let pid = session.backend_pid();
    let running = in_background(session, move |session| run(session, &sql));
    let blocked =
        format!("select count(*) from pg_stat_activity where pid = {pid} and wait_event_type = 'Lock'");
    let mut watcher = database.session();
    wait_until("it waits or is through", BOUND, || {
        running.is_finished() || watcher.value::<i64>(&blocked, &[]) == 1
    });
    running
}

fn a_changed_pool_and_a_pool_check_in_one_transaction(database: &Database) {
    let mut game = database.session();
    game.run("select schedule_pool_check()");
    game.run("begin; update content_pools set min_size = 50 where kind = 'quest'");
    let tick = as_far_as_it_comes(database, TICK);
    game.run("select schedule_pool_check(); commit");
    assert_eq!(tick.join().expect("the tick"), Ok(()));
}

fn a_new_campaign_and_a_pool_check_in_one_transaction(database: &Database) {
    let mut game = database.session();
    game.run(
        "create table characters (id uuid default gen_random_uuid(), campaign_seed text);
         insert into characters (campaign_seed) values ('north');
         select worker.setup(); select schedule_pool_check()",
    );
    game.run("begin; select enqueue_worker_job('generate_pois', '{\"campaign_seed\": \"north\"}')");
    let tick = as_far_as_it_comes(database, TICK);
    game.run("select schedule_pool_check(); commit");
    assert_eq!(tick.join().expect("the tick"), Ok(()));
    game.run("select schedule_pool_check()");
    assert_eq!(run(&mut game, TICK), Ok(()));
    let noted = "worker.campaigns where campaign_seed = 'north'";
    assert_eq!(game.count(noted), 1);
}

/// A tick may note that a job has failed, and refill; who changes a pool locks it and then forgets its
/// troubles. Both touch the pool first.
fn a_changed_pool_beside_a_job_that_failed(database: &Database) {
    let mut session = database.session();
    session.run(
        "insert into worker.pool_trouble values ('quest', '', 1, 'it burned', now(), now() + interval '1 hour')",
    );
    session.run("alter table worker_jobs alter max_attempts set default 1");
    enqueue_quests(&mut session, 1);
    let lease = lease_one(&mut session);
    let_lease_run_out(&mut session, lease.job);
    let [first, second] = steps_of_a_tick(&mut session);
    session.run(&format!("begin; select {first}"));
    let change = as_far_as_it_comes(
        database,
        "update content_pools set batch_size = 5 where kind = 'quest'",
    );
    assert_eq!(run(&mut session, &format!("select {second}; commit")), Ok(()));
    assert_eq!(change.join().expect("the administrator"), Ok(()));
}

/// Rescue and refill in the order in which a tick takes them, so that it can be stopped between them.
fn steps_of_a_tick(session: &mut Session) -> [&'static str; 2] {
    let sql = "select prosrc from pg_proc where oid = 'worker.tick()'::regprocedure";
    let tick: String = session.value(sql, &[]);
    let mut steps = ["worker.rescue_jobs()", "worker.refill_pools()"];
    steps.sort_by_key(|step| tick.find(step).expect("a step of the tick"));
    steps
}

/// Both settle their pool's troubles, of which there may be several rows, and touch them in one order.
fn a_job_that_is_completed_beside_one_that_fails(database: &Database) {
    let mut session = database.session();
    session.run("alter table worker_jobs alter max_attempts set default 1");
    for _ in 0..2 {
        enqueue(
            &mut session,
            "generate_pois",
            json!({"campaign_seed": "north", "count": 1}),
        );
    }
    let leases = lease(&mut session, 2);
    // What it was asked for is there: that is not what this is about.
    session.rows(
        "update worker_jobs set stored = asked where id = $1",
        &[&leases[0].job],
    );
    session.run(
        "insert into worker.pool_trouble
         select 'poi', scope, 1, 'it burned', now(), now() from unnest(array['north', '*']) scope",
    );
    session.run("begin; select from worker.pool_trouble where scope = 'north' for update");
    let of = |lease: &Lease| format!("'{}', '{}'", lease.job, lease.token);
    let completes = format!("select worker.complete_job({})", of(&leases[0]));
    let completes = as_far_as_it_comes(database, completes);
    let fails = format!("select worker.fail_job({}, 'it rained')", of(&leases[1]));
    let fails = as_far_as_it_comes(database, fails);
    session.run("commit");
    assert_eq!(completes.join().expect("the one executor"), Ok(()));
    assert_eq!(fails.join().expect("the other executor"), Ok(()));
}

/// Each of the two games holds what the other one wants next.
fn a_pool_check_that_another_game_asks_for_is_not_waited_for(database: &Database) {
    let mut game = database.session();
    game.run("begin; select schedule_pool_check()");
    let mut other = database.session();
    for held in [
        "select pg_advisory_xact_lock(1)",
        "update content_pools set min_size = 50 where kind = 'quest'",
    ] {
        other.run(&format!("set lock_timeout = '1ms'; begin; {held}"));
        let none: Option<uuid::Uuid> = other.value("select schedule_pool_check()", &[]);
        assert_eq!(none, None);
        other.run("commit");
    }
    game.run("rollback");
    other.run("reset lock_timeout");
    let check: Option<uuid::Uuid> = other.value("select schedule_pool_check()", &[]);
    assert!(check.is_some(), "whoever asks next is heard");
}

fn items_that_are_just_claimed_are_neither_retired_nor_waited_for(database: &Database) {
    let mut game = database.session();
    game.run(
        "insert into quest_templates (title, description, level_min, level_max, provenance)
         select 'q' || n, 'x', n, n, '{\"generator\": \"builtin\"}' from generate_series(1, 3) n",
    );
    game.run("begin; select claim_quest_from_pool(gen_random_uuid(), 2, 2)");
    let mut administrator = database.session();
    administrator.run("set lock_timeout = '1ms'");
    let retired: i64 = administrator.value("select worker.retire_items('builtin')", &[]);
    assert_eq!(retired, 2);
    game.run("commit");
    assert_eq!(game.count("quest_templates where provenance ? 'retired'"), 2);
}

fn two_who_add_the_same_kind_at_once(database: &Database) {
    let sql = "select worker.add_kind('inn', 'Write an inn.', '{\"type\": \"object\", \"properties\": {\"name\": {}}}')";
    let mut one = database.session();
    one.run(&format!("begin; {sql}"));
    let other = as_far_as_it_comes(database, sql);
    one.run("commit");
    assert_eq!(other.join().expect("the other one"), Ok(()));
}
