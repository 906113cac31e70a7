//! The server is killed, or still loading, while there is work: nobody is charged, nothing is lost, and
//! work resumes by itself.

use super::{asking, at_rest, begun_with, rejected, wait_ended};
use crate::steps::{enqueue_quests, of_job};
use pg_worker_tests::wait::{wait_for, wait_until};
use pg_worker_tests::{BOUND, Executor, LlamaServer, Session};

/// What a refill has stored, whatever the job.
fn wait_stored(session: &mut Session, least: i64) {
    session.wait_until_true(
        &format!("select count(*) >= {least} from worker.items"),
        4 * BOUND,
    );
}

/// The executor has noticed, and holds no job any more.
fn wait_until_paused(executor: &Executor) {
    wait_for("the executor pauses", 2 * BOUND, || {
        let health = executor.health().json();
        (health["breaker"] == "open" && health["jobs"] == 0).then_some(())
    });
}

#[test]
#[ignore = "needs a llama-server: scripts/suites/llama.sh"]
fn a_server_that_is_killed_twice_in_the_middle_of_a_refill() {
    let mut server = LlamaServer::start(4);
    let database = begun_with("insert into worker.campaigns (campaign_seed) values ('salt-road')");
    let mut session = database.session();
    let executor = asking(&server, &database).start();
    for stored in [5, 60] {
        wait_stored(&mut session, stored);
        server.stop();
        wait_until_paused(&executor);
        let waiting = session.count("worker_jobs where status = 'pending' and attempts = 0");
        assert!(waiting > 0, "killed in the middle of the work");
        assert_eq!(
            session.count("worker_jobs where status in ('running', 'failed')"),
            0
        );
        server.restart();
    }
    wait_stored(&mut session, 140);
    let full = "select count(*) = 5 and bool_and(available >= minimum) from content_pool_status";
    session.wait_until_true(full, 10 * BOUND);
    let done =
        "select bool_and(status = 'completed' and attempts = 1) from worker_jobs where asked is not null";
    session.wait_until_true(done, BOUND);
    exactly_what_was_asked_for(&mut session);
}

/// Each job has each of its items once, each item is a row of its pool, and no pool has another row.
fn exactly_what_was_asked_for(session: &mut Session) {
    let odd = "worker_jobs j where asked is not null and (stored <> asked
        or (select array_agg(i.item_no order by i.item_no) from worker.items i where i.job_id = j.id)
           is distinct from (select array_agg(n) from generate_series(1, asked) n))";
    assert_eq!(session.count(odd), 0);
    let mut rows = 0;
    for table in [
        "quest_templates",
        "npc_personalities",
        "combat_encounters",
        "dungeon_content",
        "campaign_pois",
    ] {
        rows += session.count(table);
        let orphans =
            format!("{table} t where not exists (select from worker.items i where i.item_id = t.id)");
        assert_eq!(session.count(&orphans), 0, "{table}");
    }
    assert_eq!(session.count("worker.items"), rows);
}

#[test]
#[ignore = "needs a llama-server: scripts/suites/llama.sh"]
fn a_server_that_is_still_loading_charges_nobody() {
    let mut server = LlamaServer::prepare(2, &[]);
    server.restart_loading();
    let database = at_rest();
    let mut session = database.session();
    let job = enqueue_quests(&mut session, 3);
    let executor = asking(&server, &database).start();
    wait_until("the executor asks", BOUND, || server.is_asked());
    wait_until("the executor is told that it loads", BOUND, || {
        server.crawl();
        executor.log().contains("Loading model")
    });
    let charged = of_job(&mut session, job, "concat_ws(' ', status, attempts)");
    assert_eq!(charged.as_deref(), Some("pending 0"));
    server.thaw();
    wait_ended(&mut session, job, "completed");
    assert_eq!(
        of_job(&mut session, job, "concat_ws(' ', attempts, stored)").as_deref(),
        Some("1 3")
    );
    assert_eq!(
        rejected(&mut session, job, "empty"),
        0,
        "no answer is no bad answer"
    );
}
