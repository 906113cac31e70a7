//! The parts of a tick are independent of each other, and so are jobs and pools within them: what the
//! game did to one of them stops no other.

use crate::steps::{enqueue_quests, lease_one, let_lease_run_out, status};
use pg_worker_tests::{Database, Session, on_both_installs};
use serde_json::{Value, json};
use uuid::Uuid;

on_both_installs!(
    a_job_that_the_game_refers_to_stays_and_the_others_are_pruned,
    a_part_that_fails_is_named_and_the_others_are_done,
    a_job_that_cannot_be_rescued_stops_no_other,
    a_pool_without_its_table_stops_no_other,
    a_pool_whose_column_was_renamed_stops_no_other,
    titles_of_long_ago_are_forgotten,
);

fn tick(session: &mut Session) -> Value {
    session.value("select worker.tick()", &[])
}

fn without_refills(database: &Database) -> Session {
    let mut session = database.session();
    session.run("update content_pools set enabled = false");
    session
}

fn finish(session: &mut Session, days: i32) {
    session.run(&format!(
        "update worker_jobs set status = 'cancelled' where status <> 'cancelled';
         update worker_jobs set completed_at = now() - interval '{days} days'"
    ));
}

fn a_job_that_the_game_refers_to_stays_and_the_others_are_pruned(database: &Database) {
    let mut session = without_refills(database);
    let named = enqueue_quests(&mut session, 1);
    enqueue_quests(&mut session, 2);
    enqueue_quests(&mut session, 3);
    session.run("create table orders (id int, job uuid references worker_jobs (id))");
    session.rows("insert into orders values (1, $1)", &[&named]);
    finish(&mut session, 9);
    assert_eq!(
        tick(&mut session),
        json!({"rescued": 0, "enqueued": 0, "pruned": 2})
    );
    let why = "select progress ->> 'not_pruned' from worker_jobs where id = $1";
    assert!(session.value::<String>(why, &[&named]).contains("orders"));
    // It is not in the way of later ones, and goes when nothing needs it any more.
    enqueue_quests(&mut session, 1);
    finish(&mut session, 9);
    assert_eq!(tick(&mut session)["pruned"], 1);
    session.run("delete from orders; update worker_jobs set progress = progress || '{\"prune_after\": \"yesterday\"}'");
    assert_eq!(tick(&mut session)["pruned"], 1);
    assert_eq!(session.count("worker_jobs"), 0);
}

/// Where the library is, the server itself refuses such a setting.
#[test]
fn a_retention_that_is_none_deletes_nothing_and_stops_nothing() {
    let database = Database::sql_only();
    let mut session = without_refills(&database);
    enqueue_quests(&mut session, 1);
    finish(&mut session, 4000);
    for text in ["soon", "7 dyas", "100000000 years"] {
        let name = database.name();
        session.run(&format!(
            "alter database {name} set pg_worker_ext.retention = '{text}'"
        ));
        let mut fresh = database.session();
        assert_eq!(
            tick(&mut fresh),
            json!({"rescued": 0, "enqueued": 0, "pruned": 0}),
            "{text}"
        );
        assert_eq!(fresh.count("worker_jobs"), 1);
    }
}

fn a_part_that_fails_is_named_and_the_others_are_done(database: &Database) {
    let mut session = database.session();
    let job = enqueue_quests(&mut session, 1);
    let lease = lease_one(&mut session);
    let_lease_run_out(&mut session, job);
    session.run(
        "insert into worker_jobs (job_type, status, completed_at) values ('generate_npcs', 'failed', now() - interval '9 days');
         alter table content_pools rename column enabled to switched_on",
    );
    let done = tick(&mut session);
    assert_eq!(
        (&done["rescued"], &done["pruned"]),
        (&json!(1), &json!(1)),
        "{done}"
    );
    assert!(
        done["errors"]["enqueued"]
            .as_str()
            .expect("an error")
            .contains("enabled"),
        "{done}"
    );
    assert_eq!(status(&mut session, lease.job), "pending");
}

fn a_job_that_cannot_be_rescued_stops_no_other(database: &Database) {
    let mut session = without_refills(database);
    let jobs = [enqueue_quests(&mut session, 1), enqueue_quests(&mut session, 2)];
    assert_eq!(crate::steps::lease(&mut session, 2).len(), 2);
    for job in jobs {
        let_lease_run_out(&mut session, job);
    }
    session.run(
        "create function no() returns trigger language plpgsql as $$ begin raise 'not this one'; end $$;
         create trigger no before update of status on worker_jobs for each row when (old.asked = 1) execute function no()",
    );
    assert_eq!(tick(&mut session)["rescued"], 1);
    assert_eq!(jobs.map(|job| status(&mut session, job)), ["running", "pending"]);
}

/// What is told of the dungeons, and that everything else goes on.
#[track_caller]
fn goes_on_without_dungeons(session: &mut Session, level: &str) {
    assert!(tick(session)["enqueued"].as_i64() > Some(0));
    let types = "select distinct job_type from worker_jobs order by 1";
    assert_eq!(
        session.column::<String>(types, &[]),
        ["generate_encounters", "generate_npcs", "generate_quests"]
    );
    let told = "select level from content_pool_status where kind = 'dungeon'";
    assert_eq!(session.value::<String>(told, &[]), level);
    assert_eq!(session.count("content_pool_status where level = 'empty'"), 3);
    session.run("select schedule_pool_check()");
    let check = tick(session);
    assert_eq!(check.get("errors"), None, "{check}");
    let lease = "select job_id from worker.lease_for_empty_pool(gen_random_uuid())";
    assert_eq!(session.column::<Uuid>(lease, &[]).len(), 1);
    session.run("insert into npc_personalities (name, race, occupation, personality, quirk, secret) values ('a', 'b', 'c', 'd', 'e', 'f')");
    assert_eq!(
        session
            .rows("select * from claim_npc_from_pool('c', null)", &[])
            .len(),
        1
    );
}

fn a_pool_without_its_table_stops_no_other(database: &Database) {
    let mut session = database.session();
    session.run("drop table dungeon_content");
    goes_on_without_dungeons(&mut session, "missing table public.dungeon_content");
    session.run("select worker.retire_items('builtin')");
}

fn a_pool_whose_column_was_renamed_stops_no_other(database: &Database) {
    let mut session = database.session();
    session.run("alter table dungeon_content rename column used to taken");
    goes_on_without_dungeons(&mut session, "table public.dungeon_content without column used");
}

fn titles_of_long_ago_are_forgotten(database: &Database) {
    let mut session = without_refills(database);
    let kept = enqueue_quests(&mut session, 1);
    let old = enqueue_quests(&mut session, 1);
    session.rows(
        "insert into worker.items (job_id, item_no, kind, item_id, title, title_key, created_at)
         select case n when 1 then $1::uuid else $2::uuid end, n, 'quest', gen_random_uuid(), 'T' || n, 't' || n, now() - interval '1 year' + n * interval '1 minute'
           from generate_series(1, 5003) n",
        &[&kept, &old],
    );
    session.rows(
        "update worker_jobs set status = 'cancelled' where id = $1",
        &[&old],
    );
    session.run("update worker_jobs set completed_at = now() - interval '9 days' where status = 'cancelled'");
    session.run("select worker.prune_jobs()");
    assert_eq!(
        session.count("worker.items"),
        5001,
        "the last 5000 and the one whose job is there"
    );
    assert_eq!(session.count("worker.items where item_no in (2, 3)"), 0);
}
