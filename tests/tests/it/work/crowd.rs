//! Many executors on one queue.

use super::at_rest;
use pg_worker_tests::{Executor, wait::BOUND};

#[test]
fn eight_executors_do_each_of_500_jobs_once() {
    let database = at_rest();
    let mut session = database.session();
    session.run(
        "insert into worker_jobs (job_type, parameters)
         select 'generate_quests', '{\"count\": 1}' from generate_series(1, 500)",
    );
    let executors: Vec<Executor> = (0..8).map(|_| Executor::on(&database).start()).collect();
    session.wait_until_true(
        "select count(*) = 500 from worker_jobs where status = 'completed'",
        4 * BOUND,
    );
    let once = "select count(*) = 500 and bool_and(attempts = 1 and stored = 1) from worker_jobs";
    assert!(session.value::<bool>(once, &[]));
    assert_eq!(session.count("quest_templates"), 500);
    assert_eq!(
        session.count("(select distinct provenance ->> 'job_id' from quest_templates) q"),
        500
    );
    assert!(session.count("(select distinct executor_id from worker_jobs) e") > 1);
    for executor in executors {
        assert!(executor.stop().success());
    }
    assert_eq!(session.count("worker_executors"), 0, "each has said goodbye");
}
