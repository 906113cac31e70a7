//! All pools filled from empty by the real server.

use super::{asking, begun_with, rules};
use crate::steps::{enqueue, of_job};
use pg_worker_tests::wait::wait_for;
use pg_worker_tests::{BOUND, LlamaServer, Session};
use serde_json::json;
use std::time::Instant;

/// Far above what it takes: this is to notice something that grows.
const MEMORY_KB: u64 = 64 * 1024;

#[test]
#[ignore = "needs a llama-server: scripts/suites/llama.sh"]
fn all_pools_are_filled_from_empty_with_200_different_items_each() {
    let server = LlamaServer::start(4);
    let database = begun_with(
        "update content_pools set min_size = 200; insert into worker.campaigns (campaign_seed) values ('salt-road')",
    );
    let mut session = database.session();
    let began = Instant::now();
    let executor = asking(&server, &database).start();
    wait_until_full(&mut session);
    let seconds = began.elapsed().as_secs_f64();
    let summary = enqueue(
        &mut session,
        "summarize_session",
        json!({"character_id": "7d0e0f5e-0d0d-4a3a-9f2b-6c1a5b1f0001",
               "messages": [{"role": "player", "content": "I open the door."}, {"role": "dm", "content": "It was open."}]}),
    );
    super::wait_ended(&mut session, summary, "completed");
    assert_eq!(
        executor.health().json()["budget"],
        4,
        "as many as the server has slots"
    );
    every_job_was_one_attempt(&mut session);
    rules::hold(&mut session);
    titles_differ(&mut session);
    all_was_written_by_the_model(&mut session);
    let peak = peak_memory_kb(executor.pid());
    report(&mut session, seconds, peak);
    assert!(peak < MEMORY_KB, "the executor took {peak} kB at its peak");
    assert!(executor.stop().success());
    assert!(of_job(&mut session, summary, "result ->> 'summary'").is_some());
}

fn wait_until_full(session: &mut Session) {
    // Asked all the time, so it must cost little; the view counts pools and jobs.
    let sql = "select (select count(*) from worker.items),
                      (select string_agg(job_type || ': ' || error_message, E'\\n') from worker_jobs where status = 'failed')";
    wait_for("1000 items are stored", 40 * BOUND, || {
        let row = session.row(sql, &[]);
        assert_eq!(row.get::<_, Option<String>>(1), None, "a job failed");
        (row.get::<_, i64>(0) >= 1000).then_some(())
    });
    let full = "select count(*) = 5 and bool_and(available >= minimum) from content_pool_status";
    session.wait_until_true(full, BOUND);
}

fn every_job_was_one_attempt(session: &mut Session) {
    let sql = "select bool_and(status = 'completed' and attempts = 1 and stored = asked
                               and (select count(*) from worker.items i where i.job_id = j.id) = stored)
                 from worker_jobs j where asked is not null";
    session.wait_until_true(sql, BOUND);
}

fn titles_differ(session: &mut Session) {
    for kind in ["quest", "npc", "encounter", "dungeon", "poi"] {
        let sql = "select count(*), count(distinct regexp_replace(lower(title), '[^a-z0-9]', '', 'g')) from worker.items where kind = $1";
        let row = session.row(sql, &[&kind]);
        let (items, titles): (i64, i64) = (row.get(0), row.get(1));
        assert!(
            items >= 200 && items == titles,
            "{kind}: {titles} titles of {items}"
        );
    }
}

fn all_was_written_by_the_model(session: &mut Session) {
    for table in rules::TABLES {
        let wrong = format!(
            "{table} where provenance ->> 'generator' <> 'llm' or coalesce(provenance ->> 'model', '') = ''
                or (provenance ->> 'completion_tokens')::int is null or provenance ->> 'seed' is null"
        );
        assert_eq!(session.count(&wrong), 0, "{table}");
    }
}

/// The most memory that a process has ever held.
fn peak_memory_kb(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("VmHWM");
    line.trim_end_matches("kB").trim().parse().expect("a number")
}

/// For people: how much was accepted, and how fast it was on this machine.
fn report(session: &mut Session, seconds: f64, peak: u64) {
    let items = session.count("worker.items");
    let rate = f64::from(u32::try_from(items).expect("few")) / seconds;
    println!("{items} items in {seconds:.0} s, {rate:.1} a second; the executor's peak: {peak} kB");
    let sql = "select job_type, sum(stored)::bigint, coalesce(sum((result ->> 'duplicates')::int), 0)::bigint,
                      coalesce(sum((select sum(v::int) from jsonb_each_text(result -> 'rejected') r(k, v))), 0)::bigint
                 from worker_jobs where asked is not null group by 1 order by 1";
    for row in session.rows(sql, &[]) {
        let (job, stored, duplicates, rejected): (String, i64, i64, i64) =
            (row.get(0), row.get(1), row.get(2), row.get(3));
        println!("  {job}: {stored} stored, {rejected} rejected, {duplicates} duplicates");
    }
}
