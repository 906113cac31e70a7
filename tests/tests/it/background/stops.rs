//! Stopping and starting: the worker, the launcher, the server, the extension. Whatever it was that
//! stopped, what was enqueued meanwhile is announced and what is due is done.

use super::{SERVED, WORKER, listening_at_rest, served};
use pg_worker_tests::cluster::{Stop, send_signal};
use pg_worker_tests::{BOUND, Cluster, Database, Session};

/// A trigger of the game's that takes for ever as long as the switch is on.
const SLOW: &str = "
    create table switch (slow boolean);
    insert into switch values (true);
    grant select on switch to public;
    create function take_for_ever() returns trigger language plpgsql as $$
    begin
      if (select slow from public.switch) then
        perform pg_sleep(3600);
      end if;
      return new;
    end $$;
    create trigger take_for_ever before insert on worker_jobs for each row execute function take_for_ever()";

/// A database whose worker is in the middle of a statement that never ends by itself.
fn in_a_long_statement(cluster: &Cluster) -> (Database<'_>, Session) {
    let db = Database::empty(cluster);
    let mut session = db.session();
    session.run(&format!("begin; create extension pg_worker_ext; {SLOW}; commit"));
    wait_until_it_sleeps(&mut session);
    (db, session)
}

fn wait_until_it_sleeps(session: &mut Session) {
    let sleeps = format!("select exists ({WORKER} and wait_event = 'PgSleep')");
    session.wait_until_true(&sleeps, BOUND);
}

/// The trigger is quick from now on, and the work that could not be done is done.
fn works_again(session: &mut Session) {
    session.run("update switch set slow = false");
    let worker: Option<i32> = session.value(&format!("select ({WORKER})"), &[]);
    session.rows("select pg_terminate_backend($1)", &[&worker]);
    session.wait_until_true(
        "select exists (select from worker_jobs where job_type = 'generate_quests')",
        BOUND,
    );
}

#[test]
fn a_terminated_worker_comes_back() {
    let db = Database::live();
    let mut session = served(&db);
    let worker: i32 = session.value(WORKER, &[]);
    session.rows("select pg_terminate_backend($1)", &[&worker]);
    session.wait_until_true(&format!("select exists ({WORKER} and pid <> {worker})"), BOUND);
}

/// Also of a server that is asked to stop: nothing of what was under way is there, all of it is done
/// afterwards.
#[test]
fn a_worker_is_stopped_in_the_middle_of_a_statement() {
    let cluster = Cluster::own(&[]);
    let (db, mut session) = in_a_long_statement(&cluster);
    let worker: i32 = session.value(WORKER, &[]);
    session.rows("select pg_terminate_backend($1)", &[&worker]);
    session.wait_until_true(&format!("select not exists ({WORKER} and pid = {worker})"), BOUND);
    assert_eq!(session.count("worker_jobs"), 0);
    wait_until_it_sleeps(&mut session);
    drop(session);
    // Within the bound of every wait here; the statement would take an hour.
    cluster.restart(Stop::Fast);
    let mut session = db.session();
    assert_eq!(session.count("worker_jobs"), 0);
    works_again(&mut session);
}

#[test]
fn a_launcher_that_is_terminated_comes_back() {
    let cluster = Cluster::own(&[]);
    let mut session = cluster.session("postgres");
    let launcher = "select pid from pg_stat_activity where backend_type = 'pg_worker_ext launcher'";
    session.wait_until_true(&format!("select exists ({launcher})"), BOUND);
    let first: i32 = session.value(launcher, &[]);
    session.rows("select pg_terminate_backend($1)", &[&first]);
    session.wait_until_true(&format!("select exists ({launcher} and pid <> {first})"), BOUND);
    served(&Database::with_extension(&cluster));
}

/// The worker has been told of the job and is gone before it could tell anybody.
#[test]
fn what_was_enqueued_just_before_the_worker_ended_is_announced_by_the_next_one() {
    let (db, mut listener) = listening_at_rest();
    let worker: i32 = listener.value(WORKER, &[]);
    let pid = worker.unsigned_abs();
    send_signal(pid, libc::SIGSTOP);
    let mut game = db.session();
    game.run("select enqueue_worker_job('generate_quests')");
    game.rows("select pg_terminate_backend($1)", &[&worker]);
    send_signal(pid, libc::SIGCONT);
    let announcer = listener.notifier(BOUND);
    assert!(announcer != worker && announcer != game.backend_pid());
    assert_eq!(announcer, listener.value::<i32>(WORKER, &[]));
}

#[test]
fn a_crash_of_the_server_is_survived() {
    let cluster = Cluster::own(&["pg_worker_ext.refill = off"]);
    let db = Database::with_extension(&cluster);
    let mut session = served(&db);
    let job: uuid::Uuid = session.value("select enqueue_worker_job('generate_quests')", &[]);
    session.run("select schedule_pool_check()");
    drop(session);
    cluster.restart(Stop::Immediate);
    let mut session = served(&db);
    let status: String = session.value("select status from worker_jobs where id = $1", &[&job]);
    assert_eq!(status, "pending");
    session.wait_until_true(
        "select status = 'completed' from worker_jobs where job_type = 'check_all_pools'",
        BOUND,
    );
}

#[test]
fn the_extension_is_dropped_and_created_under_the_worker() {
    let cluster = Cluster::own(&["pg_worker_ext.tick_interval = 1"]);
    let db = Database::with_extension(&cluster);
    let mut session = served(&db);
    // Gone for a while: it leaves.
    session.run("drop extension pg_worker_ext cascade");
    session.wait_until_true(&format!("select not exists ({WORKER})"), BOUND);
    session.run("create extension pg_worker_ext");
    session.wait_until_true(SERVED, BOUND);
    // Gone and back before it noticed, or while it was at it.
    for _ in 0..5 {
        session.run("drop extension pg_worker_ext cascade; create extension pg_worker_ext");
        session.run("select schedule_pool_check()");
        session.wait_until_true(
            "select bool_and(status = 'completed') from worker_jobs where job_type = 'check_all_pools'",
            BOUND,
        );
    }
    assert!(
        !cluster.log().contains("terminated by signal"),
        "{}",
        cluster.log()
    );
}
