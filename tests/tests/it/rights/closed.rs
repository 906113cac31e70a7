//! Nothing for PUBLIC, anon and authenticated; every table and function is closed as it should be.

use super::{callable, denied, on_both, usable};
use pg_worker_tests::{Cluster, Database, Session};

on_both!(
    strangers_and_the_apis_public_roles_get_nothing,
    an_api_call_of_anybody_is_denied,
    row_level_security_is_on_everywhere,
    every_function_has_its_search_path_pinned,
    only_the_executors_door_acts_for_the_owner,
);

fn strangers_and_the_apis_public_roles_get_nothing(database: &Database) {
    let mut session = database.session();
    for role in ["stranger", "anon", "authenticated"] {
        assert_eq!(callable(&mut session, role), Vec::<String>::new(), "{role}");
        assert_eq!(usable(&mut session, role), Vec::<String>::new(), "{role}");
        let schema = "select has_schema_privilege($1::text::name, 'worker', 'usage')
                          or has_schema_privilege($1::text::name, 'worker', 'create')";
        assert!(!session.value::<bool>(schema, &[&role]), "{role}");
    }
    // The trap was set: another table of this schema is theirs.
    session.run("create table game_table ()");
    let open = "select has_table_privilege('anon', 'game_table', 'select')";
    assert!(session.value::<bool>(open, &[]));
}

fn an_api_call_of_anybody_is_denied(database: &Database) {
    let mut session = database.session();
    for role in ["anon", "authenticated", "stranger"] {
        session.run(&format!("set role {role}"));
        for statement in [
            "select * from claim_quest_from_pool(null)",
            "select enqueue_worker_job('generate_quests')",
            "select schedule_pool_check()",
            "select * from quest_templates",
            "select * from worker_jobs",
            "select * from content_pool_status",
            "select * from worker.lease_jobs(gen_random_uuid())",
            "update content_pools set min_size = 0",
            "delete from npc_personalities",
        ] {
            denied(&mut session, statement);
        }
        session.run("reset role");
    }
}

fn row_level_security_is_on_everywhere(database: &Database) {
    let mut session = database.session();
    let off = "select r::text from worker.our_relations() r join pg_class c on c.oid = r
                where c.relkind <> 'v' and not c.relrowsecurity";
    assert_eq!(session.column::<String>(off, &[]), Vec::<String>::new());
    let tables =
        "select count(*) from worker.our_relations() r join pg_class c on c.oid = r where c.relkind = 'r'";
    assert!(session.value::<i64>(tables, &[]) >= 14, "the list is not empty");
    // A view asks for its reader's rights, not its owner's.
    let views = "select r::text from worker.our_relations() r join pg_class c on c.oid = r
                  where c.relkind = 'v' and not coalesce(c.reloptions::text like '%security_invoker=true%', false)";
    assert_eq!(session.column::<String>(views, &[]), Vec::<String>::new());
}

fn every_function_has_its_search_path_pinned(database: &Database) {
    let mut session = database.session();
    // Those of the library resolve no names.
    let sql = "select f::text from worker.our_functions() f join pg_proc p on p.oid = f join pg_language l on l.oid = p.prolang
                where l.lanname <> 'c' and not coalesce('search_path=pg_catalog, pg_temp' = any (p.proconfig), false)";
    assert_eq!(session.column::<String>(sql, &[]), Vec::<String>::new());
    assert!(
        session.count("worker.our_functions()") > 100,
        "the list is not empty"
    );
}

fn only_the_executors_door_acts_for_the_owner(database: &Database) {
    let mut session = database.session();
    let sql = "select distinct p.proname::text from worker.our_functions() f join pg_proc p on p.oid = f
                where p.prosecdef and p.pronamespace = 'public'::regnamespace";
    assert_eq!(session.column::<String>(sql, &[]), Vec::<String>::new());
}

/// What pg_dump would leave out: rights that it believes the extension's script to give again.
#[test]
fn no_initial_privileges_name_the_users_tables() {
    let database = super::extension();
    let mut session = database.session();
    session.run("select worker.grant_backend('game'); grant select on npc_personalities to stranger");
    nothing_is_left_out_of_dumps(&mut session);
    // The second script finds the tables, and rights on them.
    session.run("drop extension pg_worker_ext cascade; create extension pg_worker_ext");
    nothing_is_left_out_of_dumps(&mut session);
}

#[track_caller]
fn nothing_is_left_out_of_dumps(session: &mut Session) {
    for (what, sql) in [
        (
            "initial privileges",
            "select r::text from pg_init_privs i join worker.our_relations() r on r = i.objoid and i.classoid = 'pg_class'::regclass",
        ),
        (
            "membership",
            "select r::text from pg_depend d join worker.our_relations() r on r = d.objid and d.classid = 'pg_class'::regclass
              where d.deptype = 'e'",
        ),
    ] {
        assert_eq!(session.column::<String>(sql, &[]), Vec::<String>::new(), "{what}");
    }
    let foreign = "select f::text from worker.our_functions() f
                    where not exists (select from pg_depend d where d.objid = f and d.classid = 'pg_proc'::regclass and d.deptype = 'e')";
    assert_eq!(
        session.column::<String>(foreign, &[]),
        Vec::<String>::new(),
        "code is the extension's"
    );
}

/// The owner is whom the setting names: tables, code, and whom the executor's door acts for.
#[test]
fn the_owner_can_be_another_than_who_installs() {
    let cluster = Cluster::own(&["pg_worker_ext.background_worker = off"]);
    let database = Database::empty(&cluster);
    let mut session = database.session();
    session.run(
        "create role app login; grant create on schema public to app;
         set pg_worker_ext.owner = 'app'; create extension pg_worker_ext",
    );
    let others = "select r::text from worker.our_relations() r join pg_class c on c.oid = r where c.relowner <> 'app'::regrole
                  union all
                  select f::text from worker.our_functions() f join pg_proc p on p.oid = f where p.proowner <> 'app'::regrole";
    assert_eq!(session.column::<String>(others, &[]), Vec::<String>::new());
    let mut app = database.session_as("app");
    assert_eq!(app.value::<Option<String>>("select worker.ready()", &[]), None);
    assert_eq!(
        app.value::<String>("select worker.about() ->> 'owner'", &[]),
        "app"
    );
    app.run("select worker.setup(); select enqueue_worker_job('generate_quests')");
    assert_eq!(
        app.rows("select * from worker.lease_jobs(gen_random_uuid())", &[])
            .len(),
        1
    );
}
