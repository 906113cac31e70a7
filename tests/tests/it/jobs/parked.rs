//! A parked job: its run_at is infinity until somebody gives it another. It is in nobody's way.

use crate::steps::{enqueue_quests, lease_one, refused_field, status};
use pg_worker_tests::{Database, on_both_installs};
use uuid::Uuid;

on_both_installs!(
    a_parked_job_is_in_nobodys_way,
    a_parked_job_is_done_when_it_gets_a_time,
    a_parked_pool_check_is_done_when_one_is_asked_for,
    no_job_has_been_due_for_ever,
);

const PARKED: &str = "select enqueue_worker_job('generate_quests', '{\"count\": 1}', p_run_at => 'infinity')";
/// As every executor asks.
const NEXT: &str = "select extract(epoch from worker.next_due() - clock_timestamp())::float8";

fn a_parked_job_is_in_nobodys_way(database: &Database) {
    let mut session = database.session();
    session.run("update content_pools set enabled = false");
    let parked: Uuid = session.value(PARKED, &[]);
    session.run("select enqueue_worker_job('check_all_pools', p_run_at => 'infinity')");
    assert_eq!(session.value::<Option<f64>>(NEXT, &[]), None);
    assert_eq!(
        session.value::<Option<f64>>(&NEXT.replace("next_due()", "next_due(now())"), &[]),
        None
    );
    assert!(!session.value::<bool>("select worker.jobs_wait()", &[]));
    session.run("select worker.tick()");
    let seen = "select jobs, oldest_seconds, next_run_at from worker_queue_status where job_type = 'generate_quests'";
    let row = session.row(seen, &[]);
    assert_eq!(row.get::<_, i64>(0), 1);
    assert_eq!(row.get::<_, Option<f64>>(1), None, "no age");
    let job = enqueue_quests(&mut session, 1);
    assert_eq!(lease_one(&mut session).job, job);
    assert_eq!(status(&mut session, parked), "pending");
    assert!(
        session.value::<Option<f64>>(NEXT, &[]).is_some(),
        "the lease's end"
    );
}

fn a_parked_job_is_done_when_it_gets_a_time(database: &Database) {
    let mut session = database.session();
    let parked: Uuid = session.value(PARKED, &[]);
    session.run("update worker_jobs set run_at = now()");
    assert_eq!(lease_one(&mut session).job, parked);
}

fn a_parked_pool_check_is_done_when_one_is_asked_for(database: &Database) {
    let mut session = database.session();
    for later in ["infinity", "tomorrow"] {
        let call = format!("select enqueue_worker_job('check_all_pools', p_run_at => '{later}')");
        let check: Uuid = session.value(&call, &[]);
        assert_eq!(
            session.value::<Option<Uuid>>("select schedule_pool_check()", &[]),
            Some(check)
        );
        assert_eq!(
            session.value::<Option<Uuid>>("select schedule_pool_check()", &[]),
            None,
            "it is due"
        );
        session.run("select worker.tick()");
        assert_eq!(status(&mut session, check), "completed");
        session.value::<Uuid>(&call, &[]);
        let by_name = "select enqueue_worker_job('check_all_pools', null, 1)";
        let check: Uuid = session.value(by_name, &[]);
        session.run("select worker.tick()");
        assert_eq!(status(&mut session, check), "completed", "{later}");
    }
}

fn no_job_has_been_due_for_ever(database: &Database) {
    let mut session = database.session();
    let call = "select enqueue_worker_job('generate_quests', p_run_at => '-infinity')";
    refused_field(&session.refused(call, &[]), "run_at");
    enqueue_quests(&mut session, 1);
    refused_field(
        &session.refused("update worker_jobs set run_at = '-infinity'", &[]),
        "run_at",
    );
}
