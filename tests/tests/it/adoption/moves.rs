//! From one install to the other, with everything that is there.

use pg_worker_tests::{Cluster, Database, Executor, Session};
use uuid::Uuid;

/// What a game has made of its installation.
const USE: &str = "
    select worker.add_kind('asteroid', 'An asteroid.', '{\"type\": \"object\", \"properties\": {\"name\": {\"type\": \"string\"}}}');
    update content_pools set min_size = 3 where kind <> 'quest';
    update content_pools set min_size = 5, prompt = 'My own prompt' where kind = 'quest';
    update content_pools set min_size = 0 where kind = 'asteroid';
    insert into asteroid_items (title, item) values ('Ceres', '{\"name\": \"Ceres\"}');
    create view my_alerts as select kind from content_pool_status where level <> 'ok'";

/// Functions of both doors with what they are, apart from comments and from how the library's own are made.
const CODE: &str = "
    select format('%s %s %s %s %s', f, p.prosecdef, p.proowner::regrole, p.proacl,
                  case when p.proname not in ('wake', 'wake_at', 'watch_session', 'native_info', 'json_schema_errors') then md5(p.prosrc) end)
      from worker.our_functions() f join pg_proc p on p.oid = f order by 1";

const TRIGGERS: &str = "
    select tgrelid::regclass || ' ' || pg_get_triggerdef(oid) from pg_trigger where not tgisinternal order by 1";

/// Tables that a move must not touch, each as one text.
fn data(session: &mut Session) -> Vec<String> {
    let tables = [
        "worker_jobs",
        "content_pools",
        "quest_templates",
        "npc_personalities",
        "combat_encounters",
        "dungeon_content",
        "campaign_pois",
        "session_summaries",
        "asteroid_items",
        "worker.items",
        "worker.kinds",
        "worker.usage",
    ];
    let digest = |table: &&str| {
        format!(
            "select '{table} ' || count(*) || ' ' || coalesce(md5(string_agg(t::text, '|' order by t::text)), '') from {table} t"
        )
    };
    tables
        .iter()
        .map(|table| session.value(&digest(table), &[]))
        .collect()
}

fn in_use(database: &Database) -> Session {
    let mut session = database.session();
    session.run(USE);
    let role = format!("{}_game", database.name());
    session.run(&format!(
        "create role {role} login; select worker.grant_backend('{role}')"
    ));
    Executor::on(database).succeeds("once");
    session.run("select enqueue_worker_job('generate_npcs'); select * from claim_quest_from_pool(null)");
    session
}

fn works_on(database: &Database, session: &mut Session) {
    assert_eq!(
        session.value::<Option<String>>("select worker.ready()", &[]),
        None
    );
    let mut game = database.session_as(&format!("{}_game", database.name()));
    game.value::<Uuid>(
        "select enqueue_worker_job('generate_dungeons', '{\"count\": 1}')",
        &[],
    );
    assert_eq!(game.count("claim_from_pool('asteroid')"), 1);
    drop(game);
    Executor::on(database).succeeds("once");
    assert_eq!(session.count("worker_jobs where status <> 'completed'"), 0);
    session.run(&format!(
        "drop owned by {0}_game; drop role {0}_game",
        database.name()
    ));
}

#[test]
fn from_the_single_file_to_the_extension() {
    let database = Database::empty(Cluster::quiet());
    database.install_sql_only();
    let mut session = in_use(&database);
    let (before, triggers) = (data(&mut session), session.column::<String>(TRIGGERS, &[]));
    session.run("create extension pg_worker_ext");
    assert_eq!(data(&mut session), before);
    assert_eq!(session.column::<String>(TRIGGERS, &[]), triggers);
    session.run("select * from my_alerts");
    let strays: Vec<String> = session.column(
        "select f::text from worker.our_functions() f where not exists (
           select from pg_depend where classid = 'pg_proc'::regclass and objid = f and deptype = 'e')",
        &[],
    );
    assert_eq!(strays, Vec::<String>::new(), "all code belongs to the extension");
    assert!(session.value::<bool>("select (worker.native_info() ->> 'preloaded')::boolean", &[]));
    let fresh = Database::quiet();
    let mut other = fresh.session();
    let (grants, role) = (format!(",{}_game=X/worker_owner", database.name()), "");
    let code: Vec<String> = session.column(CODE, &[]);
    let code: Vec<String> = code.iter().map(|line| line.replace(&grants, role)).collect();
    assert_eq!(code, other.column::<String>(CODE, &[]));
    works_on(&database, &mut session);
}

#[test]
fn from_the_extension_to_the_single_file() {
    let database = Database::quiet();
    let mut session = in_use(&database);
    let (before, triggers) = (data(&mut session), session.column::<String>(TRIGGERS, &[]));
    session.run("drop extension pg_worker_ext cascade");
    database.install_sql_only();
    assert_eq!(data(&mut session), before);
    assert_eq!(session.column::<String>(TRIGGERS, &[]), triggers);
    works_on(&database, &mut session);
}

#[test]
fn there_and_back_and_there() {
    let database = Database::empty(Cluster::quiet());
    database.install_sql_only();
    let mut session = in_use(&database);
    let before = data(&mut session);
    session.run("create extension pg_worker_ext; drop extension pg_worker_ext cascade");
    database.install_sql_only();
    session.run("create extension pg_worker_ext");
    assert_eq!(data(&mut session), before);
    works_on(&database, &mut session);
}
