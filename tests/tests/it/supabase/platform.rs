//! What `postgres`, who is no superuser, may do after either install, and what an executor's role can.

use super::{Install, WAYS, admin, cluster, database};
use pg_worker_tests::{Database, Executor, Session};
use uuid::Uuid;

/// Whatever somebody of these roles may do with a table, a view or a function of ours.
const OPEN: &str = "
    select format('%s %s', r, p.privilege) from worker.our_relations() r
     cross join unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) p(privilege)
     where has_table_privilege($1::text::name, r, p.privilege)
    union all
    select f::text from worker.our_functions() f where has_function_privilege($1::text::name, f, 'execute')";

#[test]
fn postgres_owns_what_create_extension_made_for_him() {
    let cluster = cluster(&["pg_worker_ext.background_worker = off"]);
    for (public, install) in WAYS {
        let database = database(&cluster, public, install);
        let mut postgres = database.session();
        assert!(!postgres.value::<bool>("select rolsuper from pg_roles where rolname = current_user", &[]));
        let strange: Vec<String> = postgres.column(
            "select r::text from worker.our_relations() r join pg_class c on c.oid = r where c.relowner <> 'postgres'::regrole
             union all select f::text from worker.our_functions() f join pg_proc p on p.oid = f where p.proowner <> 'postgres'::regrole",
            &[],
        );
        assert_eq!(strange, Vec::<String>::new(), "{public:?} {install:?}");
        postgres.run(
            "alter table quest_templates add column rating integer;
             create index on quest_templates (rating);
             create policy players_read on quest_templates for select to authenticated using (used);
             grant select on quest_templates to authenticated;
             revoke select on quest_templates from authenticated; drop policy players_read on quest_templates;
             update content_pools set min_size = 2 where kind <> 'poi';
             select worker.setup();
             select worker.add_kind('gem', 'A gem.', '{\"type\": \"object\", \"properties\": {}}'); select worker.drop_kind('gem')",
        );
        assert_eq!(
            postgres.value::<Option<String>>("select worker.ready()", &[]),
            None
        );
        for role in ["anon", "authenticated"] {
            let open: Vec<String> = postgres.column(OPEN, &[&role]);
            assert_eq!(open, Vec::<String>::new(), "{role} {public:?} {install:?}");
        }
        assert!(postgres.column::<String>(OPEN, &[&"service_role"]).len() > 20);
    }
}

#[test]
fn an_executors_role_does_everything_and_nothing_else() {
    let cluster = cluster(&["pg_worker_ext.background_worker = off"]);
    for (public, install) in WAYS {
        let database = database(&cluster, public, install);
        let mut postgres = database.session();
        let role = format!("{}_gpu", database.name());
        postgres.run(&format!(
            "create role {role} login; select worker.grant_executor('{role}')"
        ));
        let hero = a_played_evening(&mut postgres);
        Executor::without_database()
            .env("DATABASE_URL", &database.url_as(&role))
            .succeeds("once");
        assert_eq!(
            postgres.count("content_pool_status where available < minimum"),
            0,
            "{public:?} {install:?}"
        );
        assert_eq!(postgres.count("campaign_pois where campaign_seed = 'abc123'"), 50);
        assert_eq!(
            postgres.value::<i64>(
                "select count(*) from journal_entries where character_id = $1",
                &[&hero]
            ),
            1,
            "the summary"
        );
        and_nothing_else(&database, &mut postgres, &role);
    }
}

fn a_played_evening(postgres: &mut Session) -> Uuid {
    let hero: Uuid = postgres.value(
        "insert into characters (name, campaign_seed) values ('Rowan', 'abc123') returning id",
        &[],
    );
    postgres.rows(
        "insert into dm_conversations (character_id, role, content) values
           ($1, 'dm', 'The ferry bell rings.'), ($1, 'player', 'I take my lantern and go down.') returning 1",
        &[&hero],
    );
    postgres.run("select schedule_pool_check()");
    postgres.rows(
        "select enqueue_worker_job('summarize_session', jsonb_build_object('character_id', $1::uuid))",
        &[&hero],
    );
    hero
}

fn and_nothing_else(database: &Database, postgres: &mut Session, role: &str) {
    let tables: Vec<String> = postgres.column(
        "select c.oid::regclass::text from pg_class c where c.relnamespace in ('public'::regnamespace, 'worker'::regnamespace)
            and c.relkind in ('r', 'v') and has_table_privilege($1::text::name, c.oid, 'select, insert, update, delete')",
        &[&role],
    );
    assert_eq!(tables, Vec::<String>::new());
    let door: Vec<String> = postgres.column(
        "select f::text from worker.our_functions() f join pg_proc p on p.oid = f
          where has_function_privilege($1::text::name, f, 'execute') and not p.prosecdef and p.proname not in ('version', 'contract_version')",
        &[&role],
    );
    assert_eq!(door, Vec::<String>::new());
    let mut gpu = database.session_as(role);
    for statement in [
        "select * from dm_conversations",
        "select schedule_pool_check()",
        "select worker.setup()",
        "create table t ()",
    ] {
        assert_eq!(gpu.refused(statement, &[]).code(), "42501", "{statement}");
    }
}

/// The guide's own tables are open to everybody there, as everything in schema public is by default.
#[test]
fn the_guides_tables_are_adopted_and_closed() {
    let cluster = cluster(&["pg_worker_ext.background_worker = off"]);
    for (public, install) in WAYS {
        let database = super::database_with(&cluster, public, install, crate::adoption::GUIDE);
        let mut postgres = database.session();
        assert_eq!(
            postgres.value::<Option<String>>("select worker.ready()", &[]),
            None,
            "{public:?} {install:?}"
        );
        assert_eq!(
            postgres.value::<String>("select worker.about() ->> 'owner'", &[]),
            "postgres"
        );
        assert_eq!(postgres.count("worker_jobs"), 14);
        for role in ["anon", "authenticated"] {
            let open: Vec<String> = postgres.column(OPEN, &[&role]);
            assert_eq!(open, Vec::<String>::new(), "{role} {public:?} {install:?}");
        }
        postgres.run("set role service_role");
        assert_eq!(postgres.count("claim_quest_from_pool(null)"), 1);
    }
}

/// The API's sessions run `safeupdate`, which fails an UPDATE or DELETE without WHERE, also inside functions.
#[test]
fn no_function_changes_a_table_without_a_where() {
    let database = Database::sql_only();
    let mut session = database.session();
    let bodies = session.rows(
        "select f::text, p.prosrc from worker.our_functions() f join pg_proc p on p.oid = f",
        &[],
    );
    let mut seen = 0;
    for row in bodies {
        let (name, body): (String, String) = (row.get(0), row.get(1));
        let body: String = body
            .lines()
            .map(|line| line.split("--").next().unwrap_or_default())
            .collect::<Vec<_>>()
            .join(" ")
            .to_lowercase();
        for statement in body.split(';') {
            let words: Vec<&str> = statement.split_whitespace().collect();
            let changes = words.windows(2).any(|pair| pair == ["delete", "from"])
                || words
                    .windows(3)
                    .any(|three| three[0] == "update" && three[1].contains('.') && three.contains(&"set"))
                || words
                    .windows(4)
                    .any(|four| four[0] == "update" && four[1].contains('.') && four[3] == "set");
            if changes && !name.contains("setup") {
                seen += 1;
                assert!(words.contains(&"where"), "{name}: {statement}");
            }
        }
    }
    assert!(seen > 20, "only {seen} statements were found");
}

#[test]
fn the_superuser_finds_everything_in_its_place() {
    let cluster = cluster(&["pg_worker_ext.background_worker = off"]);
    let database = database(&cluster, super::Public::Shipped, Install::Extension);
    let mut admin = admin(&cluster, database.name());
    let schema: String = admin.value("select nspname::text from pg_extension e join pg_namespace n on n.oid = e.extnamespace where extname = 'pg_worker_ext'", &[]);
    assert_eq!(
        schema, "worker",
        "not in public, which the linter would complain of"
    );
    // As a superuser too, nothing is taken from postgres.
    admin.run("select worker.setup()");
    assert_eq!(
        admin.value::<String>("select worker.about() ->> 'owner'", &[]),
        "postgres"
    );
}
