//! Installing, leaving and coming back: both installs give the promised names, and nothing but DROP
//! TABLE takes a row away.

mod encoding;
mod made_of;
mod online;

use pg_worker_tests::{Cluster, Database, Session};

const TABLES: [&str; 8] = [
    "worker_jobs",
    "quest_templates",
    "npc_personalities",
    "combat_encounters",
    "dungeon_content",
    "campaign_pois",
    "session_summaries",
    "content_pools",
];
const VIEWS: [&str; 3] = ["content_pool_status", "worker_queue_status", "worker_executors"];

/// The game's door: names, argument names and defaults are API for ever.
const GAMES_DOOR: [(&str, &str); 9] = [
    ("cancel_worker_job", "p_job_id uuid"),
    (
        "claim_dungeon_from_pool",
        "difficulty text DEFAULT NULL::text, spawn_location jsonb DEFAULT NULL::jsonb, request_id text DEFAULT NULL::text",
    ),
    (
        "claim_encounter_from_pool",
        "location_type text DEFAULT NULL::text, min_cr real DEFAULT NULL::real, max_cr real DEFAULT NULL::real, \
         spawn_location jsonb DEFAULT NULL::jsonb, request_id text DEFAULT NULL::text",
    ),
    (
        "claim_npc_from_pool",
        "campaign_seed text, spawn_position jsonb, request_id text DEFAULT NULL::text",
    ),
    (
        "claim_poi_from_pool",
        "campaign_seed text, poi_type text DEFAULT NULL::text, spawn_position jsonb DEFAULT NULL::jsonb, \
         request_id text DEFAULT NULL::text",
    ),
    (
        "claim_quest_from_pool",
        "character_id uuid, min_level integer DEFAULT 1, max_level integer DEFAULT 10, request_id text DEFAULT NULL::text",
    ),
    (
        "enqueue_worker_job",
        "p_job_type text, p_parameters jsonb DEFAULT NULL::jsonb, p_priority integer DEFAULT 5, \
         p_run_at timestamp with time zone DEFAULT NULL::timestamp with time zone, p_dedupe_key text DEFAULT NULL::text",
    ),
    ("retry_worker_job", "p_job_id uuid"),
    ("schedule_pool_check", ""),
];

const TRIGGERS: &str = "
    select tgrelid::regclass || ' ' || pg_get_triggerdef(oid)
      from pg_trigger where not tgisinternal order by 1";

fn promised_names_are_there(session: &mut Session) {
    let relations = "select relname::text from pg_class
                      where relnamespace = 'public'::regnamespace and relkind = any (string_to_array($1, ','))";
    let tables: Vec<String> = session.column(relations, &[&"r,p"]);
    let views: Vec<String> = session.column(relations, &[&"v"]);
    for name in TABLES {
        assert!(
            tables.iter().any(|table| table == name),
            "table {name}: {tables:?}"
        );
    }
    for name in VIEWS {
        assert!(views.iter().any(|view| view == name), "view {name}: {views:?}");
        session.run(&format!("select * from {name}"));
    }
    for (name, arguments) in GAMES_DOOR {
        let found: Vec<String> = session.column(
            "select pg_get_function_arguments(oid) from pg_proc
              where proname = $1 and pronamespace = 'public'::regnamespace",
            &[&name],
        );
        assert_eq!(found, [arguments], "function {name}, and no overload");
    }
}

#[test]
fn the_extension_gives_every_promised_name() {
    let db = Database::quiet();
    promised_names_are_there(&mut db.session());
}

#[test]
fn the_single_file_gives_every_promised_name() {
    let db = Database::sql_only();
    promised_names_are_there(&mut db.session());
}

#[test]
fn the_single_file_runs_twice_without_harm() {
    let db = Database::sql_only();
    let mut session = db.session();
    session.run("insert into quest_templates (title, description) values ('A Keepsake', 'It stays.')");
    let triggers: Vec<String> = session.column(TRIGGERS, &[]);
    db.install_sql_only();
    assert_eq!(session.count("quest_templates"), 1);
    assert_eq!(session.column::<String>(TRIGGERS, &[]), triggers);
}

#[test]
fn a_preloaded_library_gives_no_notice() {
    let db = Database::empty(Cluster::quiet());
    let mut session = db.session();
    session.run("create extension pg_worker_ext");
    assert_eq!(session.notices(), Vec::<String>::new());
}

#[test]
fn without_preload_a_notice_names_the_line_to_add() {
    let db = Database::empty(Cluster::plain());
    let mut session = db.session();
    session.run("create extension pg_worker_ext");
    let notices = session.notices();
    let line = "shared_preload_libraries = 'pg_worker_ext'";
    assert!(
        notices
            .iter()
            .any(|notice| notice.starts_with("NOTICE") && notice.contains(line)),
        "{notices:?}"
    );
}

#[test]
fn dropping_the_extension_keeps_the_rows_and_creating_it_takes_them_up() {
    let db = Database::quiet();
    let mut session = db.session();
    session.run("insert into quest_templates (title, description) values ('A Keepsake', 'It stays.')");
    let job: uuid::Uuid = session.value(
        "select enqueue_worker_job('generate_npcs', '{\"count\": 3}')",
        &[],
    );
    session.run("update content_pools set min_size = 77 where kind = 'quest'");
    let triggers: Vec<String> = session.column(TRIGGERS, &[]);

    session.run("drop extension pg_worker_ext cascade");
    assert_eq!(session.count("quest_templates"), 1);
    assert_eq!(session.count("pg_proc where proname = 'enqueue_worker_job'"), 0);

    session.run("create extension pg_worker_ext");
    promised_names_are_there(&mut session);
    assert_eq!(
        session.column::<String>(TRIGGERS, &[]),
        triggers,
        "triggers are back"
    );
    assert_eq!(
        session.value::<String>("select status from worker_jobs where id = $1", &[&job]),
        "pending"
    );
    assert_eq!(
        session.value::<i32>("select min_size from content_pools where kind = 'quest'", &[]),
        77
    );
    let title: String = session.value("select title from claim_quest_from_pool(null)", &[]);
    assert_eq!(title, "A Keepsake");
    assert_eq!(
        session.value::<Option<String>>("select worker.ready()", &[]),
        None
    );
}
