//! What the extension's script, which runs as a superuser, leaves alone; and what of a game's own stays.

use super::Install;

/// A game's own index, check, column and view on the guide's tables.
const OWN: &str = "
    alter table worker_jobs add column note text;
    create index my_failures on worker_jobs (created_at) where status = 'failed';
    alter table worker_jobs add constraint started check (status <> 'running' or started_at is not null);
    create view my_errors as select id, error_message from worker_jobs";

/// A trigger that notes who runs it.
const TRAP: &str = "
    create table seen (who text);
    create function note_it() returns trigger language plpgsql as $$
      begin insert into public.seen values (current_user); return new; end $$;
    create trigger note_it before insert or update on worker_jobs for each row execute function note_it()";

#[test]
fn a_games_own_index_check_column_and_view_stay() {
    for install in [Install::Extension, Install::SqlOnly] {
        let database = install.guide();
        let mut session = database.session();
        session.run(OWN);
        install.over(&database);
        let index: String = session.value(
            "select indexdef from pg_indexes where indexname = 'my_failures'",
            &[],
        );
        assert!(index.ends_with("WHERE (status = 'failed'::text)"), "{index}");
        let check: String = session.value(
            "select pg_get_constraintdef(oid) from pg_constraint where conname = 'started'",
            &[],
        );
        assert_eq!(
            check,
            "CHECK (((status <> 'running'::text) OR (started_at IS NOT NULL)))"
        );
        assert_eq!(session.count("my_errors where error_message = 'LLM timeout'"), 1);
        assert_eq!(
            session.count("pg_indexes where indexname like 'idx\\_%'"),
            1,
            "idx_quest_templates_level, which ours do not replace"
        );
    }
}

#[test]
fn a_table_with_a_trigger_waits_for_its_owner() {
    let database = Install::Extension.guide();
    let mut session = database.session();
    session.run(TRAP);
    session.run("create extension pg_worker_ext");
    assert_eq!(session.count("seen"), 0, "nothing of it ran as a superuser");
    let notices = session.notices().join("\n");
    assert!(
        notices.contains("wait for their adoption: public.worker_jobs (Run SELECT worker.setup()"),
        "{notices}"
    );
    assert!(
        notices.contains("adopted with all their rows: public.combat_encounters"),
        "{notices}"
    );
    let ready: Option<String> = session.value("select worker.ready()", &[]);
    assert!(ready.expect("a reason").contains("worker.setup()"));
    session.run("select worker.setup()");
    assert_eq!(
        session.value::<Option<String>>("select worker.ready()", &[]),
        None
    );
    assert_eq!(session.count("seen"), 0, "an adoption is none of its business");
    session.run("insert into worker_jobs (job_type) values ('generate_quests')");
    assert_eq!(session.count("seen"), 1, "it is enabled again");
    assert_eq!(
        session.count("worker_jobs where status = 'pending' and job_type = 'check_all_pools'"),
        1
    );
}

#[test]
fn code_that_hides_in_a_table_makes_it_wait_too() {
    for trap in [
        "create function f(text) returns text immutable language sql as 'select $1'; create index on quest_templates (f(title))",
        "create function f(int) returns bool immutable language sql as 'select true'; alter table quest_templates add check (f(xp_reward))",
        "create function f() returns int language sql as 'select 1'; alter table quest_templates alter xp_reward set default f()",
        "create domain heading as text check (value <> ''); alter table quest_templates add column h heading",
        "create rule r as on delete to quest_templates do also nothing",
    ] {
        let database = Install::Extension.guide();
        let mut session = database.session();
        session.run(trap);
        session.run("create extension pg_worker_ext");
        let left: Vec<String> = session.value("select worker.former_tables()", &[]);
        assert_eq!(left, ["public.quest_templates"], "{trap}");
        session.run("select worker.setup()");
        assert_eq!(
            session.value::<Option<Vec<String>>>("select worker.former_tables()", &[]),
            None
        );
        assert_eq!(session.count("claim_quest_from_pool(null)"), 1);
    }
}

#[test]
fn tables_of_a_role_that_the_installer_does_not_belong_to_are_refused() {
    let database = Install::SqlOnly.guide();
    let mut session = database.session();
    let role = format!("{}_visitor", database.name());
    session.run(&format!("create role {role} login; grant all on schema public to {role}; grant create on database {} to {role}", database.name()));
    let text = pg_worker_tests::paths::read("sql/pg_worker_ext.sql");
    let mut visitor = database.session_as(&role);
    let refusal = visitor.batch_execute(&text).expect_err("refused");
    let words = pg_worker_tests::session::words(&refusal);
    assert!(
        words.contains("of which") && words.contains("is no member"),
        "{words}"
    );
    drop(visitor);
    session.run(&format!("drop owned by {role}; drop role {role}"));
}
