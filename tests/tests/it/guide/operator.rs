//! `docs/operator.md`: on a server of its own, since settings, roles and dumps concern all of it.

use super::page::Page;
use super::place::Place;
use pg_worker_tests::{BOUND, Cluster, Database, Session};
use uuid::Uuid;

#[test]
fn the_operators_page() {
    let cluster = Cluster::own(&[]);
    let database = Database::with_extension(&cluster);
    let mut page = Page::open("docs/operator.md");
    let place = Place::new(&database);
    watching(&mut page, &place);
    alerts(&mut page, &place);
    cleaning_up(&mut page, &place);
    rights(&mut page, &place, &database);
    settings(&mut page, &place, &cluster, &database);
    backup(&mut page, &place, &cluster);
    upgrade(&mut page, &place);
    drop_and_create(&mut page, &place, &database);
    trouble(&mut page, &place);
    page.is_over();
}

fn watching(page: &mut Page, place: &Place) {
    let seen = place.sql(&page.sql("Watching"));
    for text in ["quest||0|20|", "|empty|", "\"ready_problem\": null"] {
        assert!(seen.contains(text), "{text}: {seen}");
    }
    assert!(seen.contains("\"background_worker\": true"), "{seen}");
    let processes = place.sql(&page.sql("Watching"));
    assert!(processes.contains("|pg_worker_ext launcher|"), "{processes}");
}

/// Each alert, made to come true.
fn alerts(page: &mut Page, place: &Place) {
    place.sql(&page.sql("Alerts"));
    let ask = page.bash("Alerts");
    let mut session = place.session();
    assert!(place.bash(&ask).contains("no executor: "));
    session.run(
        "select worker.report_executor(gen_random_uuid(), '{\"host\": \"gpu-box\", \"generator\": \"builtin\", \"state\": \"idle\"}');
         insert into worker_jobs (job_type, run_at) values ('generate_npcs', now() - interval '2 hours');
         insert into worker_jobs (job_type, status, completed_at, error_message) values ('generate_npcs', 'failed', now(), 'no luck')",
    );
    let alerts = place.bash(&ask);
    for text in [
        "pool empty: quest: 0 of 20, ",
        "word lists: gpu-box: ",
        "old jobs: generate_npcs: ",
        "such as: no luck",
    ] {
        assert!(alerts.contains(text), "{text}: {alerts}");
    }
    assert!(!alerts.contains("no executor"), "{alerts}");
}

fn cleaning_up(page: &mut Page, place: &Place) {
    place
        .session()
        .run("insert into worker.usage values (current_date, 'quest', 'llm', 'm', 2, 0, 2000, 1000, 7.5)");
    let saved = place.sql(&page.sql("What it saves"));
    assert!(saved.trim_end().ends_with("0.000600"), "{saved}");
    let mut session = place.session();
    session.run(
        "insert into quest_templates (title, description, used, used_at, provenance) values
           ('Long ago', 'x', true, now() - interval '2 years', null),
           ('Kept', 'x', true, now(), null),
           ('Poor', 'x', false, null, '{\"model\": \"tiny-model-1b\"}')",
    );
    place.sql(&page.sql("Cleaning up"));
    assert_eq!(
        session.column::<String>("select title from quest_templates order by 1", &[]),
        ["Kept", "Poor"]
    );
    assert_eq!(place.sql(&page.sql("Cleaning up")).trim(), "1");
    assert_eq!(session.count("quest_templates where title = 'Poor' and used"), 1);
}

fn rights(page: &mut Page, place: &Place, database: &Database) {
    place.make_game();
    place.sql(&page.sql("Rights"));
    assert_eq!(place.sql(&page.sql("Rights")).trim(), "worker_owner");
    works_as_game(&mut database.session_as("game"));
    let mut executor = database.session_as("executor");
    assert_eq!(executor.refused("select * from worker_jobs", &[]).code(), "42501");
    assert_eq!(
        executor.refused("select claim_quest_from_pool(null)", &[]).code(),
        "42501"
    );
    executor.run("select worker.lease_jobs(gen_random_uuid()), worker.ready()");
}

fn works_as_game(game: &mut Session) {
    game.run("insert into quest_templates (title, description) values ('A quest of the game', 'x')");
    assert_eq!(
        game.rows("select * from claim_quest_from_pool(null)", &[]).len(),
        1
    );
    game.value::<Uuid>("select enqueue_worker_job('generate_npcs')", &[]);
    assert!(game.count("content_pool_status") > 0);
}

fn settings(page: &mut Page, place: &Place, cluster: &Cluster, database: &Database) {
    place.sql(&page.sql("Settings"));
    let kept = "select current_setting('pg_worker_ext.retention')::interval = interval '30 days'";
    cluster.session(database.name()).wait_until_true(kept, BOUND);
    let explained: Vec<(String, String)> = page
        .table("setting")
        .into_iter()
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect();
    let rows = place.session().rows(
        "select name, coalesce(boot_val, '') || case when vartype = 'integer' then coalesce(unit, '') else '' end
           from pg_settings
          where name like 'pg_worker_ext.%' and name <> 'pg_worker_ext.stop_at' -- of debug builds only",
        &[],
    );
    assert_eq!(rows.len(), explained.len());
    for row in rows {
        let (name, shipped): (String, String) = (row.get(0), row.get(1));
        let shown = match shipped.as_str() {
            "604800s" => "7d",
            "1800s" => "30min",
            "" if name.ends_with("databases") => "all",
            other => other,
        };
        assert!(
            explained.contains(&(name.clone(), shown.to_owned())),
            "{name} = {shown}: {explained:?}"
        );
    }
}

fn backup(page: &mut Page, place: &Place, cluster: &Cluster) {
    const HERE: &str = "Backup and restore";
    const ROWS: &str = "select string_agg(md5(q::text), ' ' order by id) from quest_templates q";
    place.session().run(
        "update content_pools set prompt = 'mine', min_size = 3 where kind = 'quest';
         alter table quest_templates add column mood text default 'grim'",
    );
    place.bash_aside(&page.bash(HERE));
    place.bash_aside(&page.bash(HERE));
    let mut restored = cluster.session("game_restored");
    assert_eq!(
        restored.value::<Option<String>>("select worker.ready()", &[]),
        None
    );
    assert_eq!(
        restored.value::<String>(ROWS, &[]),
        place.session().value::<String>(ROWS, &[])
    );
    assert_eq!(
        restored.count("content_pools where prompt = 'mine' and min_size = 3"),
        1
    );
    let jobs = "select enqueue_worker_job('generate_quests')";
    restored.value::<Uuid>(jobs, &[]);
    drop(restored);
    cluster.session("postgres").run("drop database game_restored");
}

fn upgrade(page: &mut Page, place: &Place) {
    let printed = place.sql(&page.sql("Upgrade"));
    assert!(printed.contains("is set up, owner worker_owner"), "{printed}");
    assert_eq!(place.session().count("content_pools where prompt = 'mine'"), 1);
}

fn drop_and_create(page: &mut Page, place: &Place, database: &Database) {
    let mut session = place.session();
    let before = (
        session.count("quest_templates"),
        session.count("worker_jobs where status = 'failed'"),
    );
    place.sql(&page.sql("DROP and CREATE"));
    let after = (
        session.count("quest_templates"),
        session.count("worker_jobs where status = 'failed'"),
    );
    assert_eq!(before, after);
    assert_eq!(
        session.value::<Option<String>>("select worker.ready()", &[]),
        None
    );
    works_as_game(&mut database.session_as("game"));
    database.session_as("executor").run("select worker.ready()");
}

fn trouble(page: &mut Page, place: &Place) {
    let mut session = place.session();
    session.run("select schedule_pool_check()");
    session.wait_until_true(
        "select bool_and(status = 'completed') from worker_jobs where job_type = 'check_all_pools'",
        BOUND,
    );
    let seen = place.sql(&page.sql("Trouble"));
    assert!(seen.contains("\"pools\""), "{seen}");
    session.run(
        "insert into worker.pool_trouble values ('quest', '', 3, 'no', now(), now() + interval '1 hour')",
    );
    session.run("update content_pools set enabled = true where kind = 'quest'");
    assert_eq!(session.count("worker.pool_trouble where kind = 'quest'"), 0);
}
