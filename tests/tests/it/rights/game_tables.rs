//! The game's own tables: used with the rights of whom they belong to, whatever he made of them.

use super::on_both;
use crate::steps::{call, lease_one, outcome, store};
use pg_worker_tests::{Database, Session};
use serde_json::json;
use uuid::Uuid;

on_both!(
    a_view_in_the_place_of_a_table_is_not_read,
    a_trigger_on_the_journal_runs_as_the_journals_owner,
    a_superusers_journal_with_a_strangers_trigger_is_not_written,
    nothing_needs_a_grant_and_row_level_security_hides_nothing,
    a_table_that_comes_later_waits_for_setup,
    a_table_with_another_owner_gets_another_function,
    a_function_that_its_owner_has_changed_does_no_harm,
    a_column_of_a_type_of_somebodys_own_is_named,
    only_the_owner_may_call_the_functions,
    a_partitioned_table_is_a_table,
);

const HERO: &str = "7d0e0f5e-0d0d-4a3a-9f2b-6c1a5b1f0001";

/// A function that notes as whom it runs, for whoever can make one run.
const CLIMB: &str = "
    grant create, usage on schema public to game;
    create table seen (place text, who name); grant insert on seen to public;
    set role game;
    create function climb(place text) returns text language plpgsql as $$
      begin insert into public.seen values (place, current_user); return 'camp'; end $$;
    create function climb() returns trigger language plpgsql as $$
      begin perform public.climb(tg_name); return new; end $$;
    reset role";

const JOURNAL: &str =
    "create table journal_entries (character_id uuid, entry_type text, content text, metadata jsonb)";
const TALK: &str = "create table dm_conversations (character_id uuid, role text, content text, created_at timestamptz default now());
    insert into dm_conversations values ('7d0e0f5e-0d0d-4a3a-9f2b-6c1a5b1f0001', 'dm', 'The ferry bell rings.')";

fn who(session: &mut Session) -> Vec<String> {
    session.column("select distinct place || ' ' || who from seen order by 1", &[])
}

/// Writes one summary through the executor's door; how that ended.
fn summarise(session: &mut Session) -> String {
    session.run("update content_pools set enabled = false; delete from worker_jobs");
    let job: Uuid = session.value(
        &format!("select enqueue_worker_job('summarize_session', '{{\"character_id\": \"{HERO}\"}}', 1)"),
        &[],
    );
    let lease = lease_one(session);
    assert_eq!(lease.job, job);
    let next = "select outcome, coalesce(reason, '') from worker.next_item($1, $2)";
    let next = session.row(next, &[&lease.job, &lease.token]);
    if next.get::<_, &str>(0) != "item" {
        return next.get(1);
    }
    let summary = json!({"summary": "The ferry bell rang at dusk and she went down to the river with her lantern.",
                         "key_events": ["The bell rang."], "open_threads": []});
    let trouble = format!(
        "select * from worker.store_item('{}', '{}', 1, '{summary}')",
        lease.job, lease.token
    );
    if let Err(error) = session.batch_execute(&trouble) {
        let words = pg_worker_tests::session::words(&error);
        call(session, "fail_job", &lease, ", 'no', true");
        return words;
    }
    assert_eq!(store(session, &lease, 1, &summary).outcome, "stored");
    outcome(session, "complete_job", &lease, "")
}

pub fn check(session: &mut Session) -> Option<String> {
    session.run("delete from worker_jobs where job_type = 'check_all_pools'; select schedule_pool_check(); select worker.refill_pools()");
    session.value(
        "select result ->> 'note' from worker_jobs where job_type = 'check_all_pools'",
        &[],
    )
}

fn a_view_in_the_place_of_a_table_is_not_read(database: &Database) {
    let mut session = database.session();
    session.run(CLIMB);
    session.run(&format!(
        "set role game;
         create view characters as select public.climb('characters') as campaign_seed;
         create view world_pois as select 'camp' as campaign_seed, public.climb('world_pois') as name;
         create view dm_conversations as select '{HERO}'::uuid as character_id, 'dm'::text as role, public.climb('talk') as content, now() as created_at;
         reset role; select worker.setup()"
    ));
    let note = check(&mut session).expect("a note");
    assert!(note.contains("characters is no table"), "{note}");
    session.run("select worker.preview_item('poi', '{\"campaign_seed\": \"camp\"}')");
    let ended = summarise(&mut session);
    assert!(ended.contains("dm_conversations is no table"), "{ended}");
    assert_eq!(who(&mut session), Vec::<String>::new());
    // Put there after the function was made, too.
    session.run("drop view characters; set role game; create table characters (campaign_seed text); reset role; select worker.setup();
                 alter table characters rename to real; set role game; create view characters as select public.climb('later') as campaign_seed; reset role");
    check(&mut session);
    let refusal = session.refused("select worker.game_characters()", &[]);
    assert!(refusal.message.contains("changed hands"), "{refusal:?}");
    assert_eq!(who(&mut session), Vec::<String>::new());
}

fn a_trigger_on_the_journal_runs_as_the_journals_owner(database: &Database) {
    let mut session = database.session();
    session.run(CLIMB);
    session.run(TALK);
    session.run(&format!("set role game; {JOURNAL};
        create trigger at_once before insert on journal_entries for each row execute function climb();
        create constraint trigger at_commit after insert on journal_entries deferrable initially deferred for each row execute function climb();
        reset role; select worker.setup()"));
    assert_eq!(summarise(&mut session), "completed");
    assert_eq!(session.count("journal_entries"), 1);
    assert_eq!(who(&mut session), ["at_commit game", "at_once game"]);
}

/// Who may make triggers on a superuser's table does not become a superuser by our writing to it.
fn a_superusers_journal_with_a_strangers_trigger_is_not_written(database: &Database) {
    let mut session = database.session();
    session.run(CLIMB);
    session.run(TALK);
    session.run(JOURNAL);
    session.run("select worker.setup(); grant all on journal_entries to game; set role game;
                 create trigger at_once before insert on journal_entries for each row execute function climb(); reset role");
    let ended = summarise(&mut session);
    assert!(ended.contains("has a trigger of somebody else's"), "{ended}");
    assert_eq!(who(&mut session), Vec::<String>::new());
    session.run("alter table journal_entries owner to game; select worker.setup()");
    assert_eq!(summarise(&mut session), "completed");
    assert_eq!(who(&mut session), ["at_once game"]);
}

fn nothing_needs_a_grant_and_row_level_security_hides_nothing(database: &Database) {
    let mut session = database.session();
    session.run("grant create on schema public to game; set role game");
    session.run(TALK);
    session.run(JOURNAL);
    session.run("create table characters (campaign_seed text); insert into characters values ('camp');
                 create table world_pois (campaign_seed text, name text); insert into world_pois values ('camp', 'Old Bridge');
                 alter table characters enable row level security; alter table dm_conversations enable row level security;
                 alter table journal_entries enable row level security; alter table world_pois enable row level security;
                 reset role; select worker.setup()");
    assert_eq!(check(&mut session), None);
    assert_eq!(session.count("worker.campaigns where campaign_seed = 'camp'"), 1);
    let prompt = "select messages::text from worker.preview_item('poi', '{\"campaign_seed\": \"camp\"}')";
    assert!(session.value::<String>(prompt, &[]).contains("Old Bridge"));
    assert_eq!(summarise(&mut session), "completed");
    let grants = "pg_class c cross join aclexplode(c.relacl) a where c.relname in ('characters', 'dm_conversations', 'journal_entries', 'world_pois')
                   and a.grantee <> c.relowner";
    assert_eq!(session.count(grants), 0);
    session.run("alter table dm_conversations force row level security");
    let ended = summarise(&mut session);
    assert!(ended.contains("FORCE ROW LEVEL SECURITY"), "{ended}");
}

fn a_table_that_comes_later_waits_for_setup(database: &Database) {
    let mut session = database.session();
    session.run("create table characters (campaign_seed text); insert into characters values ('camp')");
    let note = check(&mut session).expect("a note");
    assert!(note.contains("SELECT worker.setup();"), "{note}");
    session.run("select worker.setup()");
    assert_eq!(check(&mut session), None);
    assert_eq!(session.count("worker.campaigns where campaign_seed = 'camp'"), 1);
    // Whatever the game does to it, the pools are looked after.
    session.run("alter table characters drop column campaign_seed");
    let note = check(&mut session).expect("a note");
    assert_eq!(note, "the table characters has no column campaign_seed");
}

fn a_table_with_another_owner_gets_another_function(database: &Database) {
    let mut session = database.session();
    session.run("grant create on schema public to game; create table characters (campaign_seed text); select worker.setup();
                 alter table characters owner to game");
    assert!(check(&mut session).expect("a note").contains("belongs to game"));
    session.run("select worker.setup()");
    assert_eq!(check(&mut session), None);
    let owner =
        "select proowner::regrole::text from pg_proc where oid = 'worker.game_characters()'::regprocedure";
    assert_eq!(session.value::<String>(owner, &[]), "game");
}

/// Its owner may not change its text, but how it runs.
fn a_function_that_its_owner_has_changed_does_no_harm(database: &Database) {
    let mut session = database.session();
    session.run(CLIMB);
    session.run(
        "create schema trap authorization game; set role game; create table characters (campaign_seed text);
         create function trap.differ(name, name) returns boolean language plpgsql as $$ begin perform public.climb('operator'); return false; end $$;
         create operator trap.= (function = trap.differ, leftarg = name, rightarg = name);
         reset role; select worker.setup()",
    );
    for change in [
        "security invoker",
        "set search_path = trap, pg_catalog",
        "reset all",
        "security invoker set search_path = trap, pg_catalog",
    ] {
        session.run(&format!("alter function worker.game_characters() {change}"));
        check(&mut session);
        let _ = session.batch_execute("select worker.game_characters()");
        let mut owner = database.session();
        owner.run("set role worker_owner");
        let _ = owner.batch_execute("select worker.game_characters()");
        let strange: Vec<String> = who(&mut session);
        assert!(
            strange.iter().all(|line| line.ends_with(" game")),
            "{change}: {strange:?}"
        );
        session.run("select worker.setup()");
        assert_eq!(check(&mut session), None, "mended");
    }
    session.run("set role game");
    let refusal = session.refused(
        "create or replace function worker.game_characters() returns setof text language sql as 'select public.climb(''x'')'",
        &[],
    );
    assert_eq!(refusal.code(), "42501");
}

fn a_column_of_a_type_of_somebodys_own_is_named(database: &Database) {
    let mut session = database.session();
    session.run(CLIMB);
    session.run(
        "set role game; create domain seed as text check (public.climb('domain') is not null); reset role;
                 create table characters (campaign_seed seed); select worker.setup()",
    );
    let note = check(&mut session).expect("a note");
    assert!(
        note.contains("characters.campaign_seed is of type public.seed"),
        "{note}"
    );
    let notices = session.notices().join("\n");
    assert!(notices.contains("is of type public.seed"), "{notices}");
}

fn only_the_owner_may_call_the_functions(database: &Database) {
    let mut session = database.session();
    session.run(TALK);
    session.run(
        "select worker.setup(); select worker.grant_backend('game'); select worker.grant_executor('gpu')",
    );
    for role in ["game", "gpu", "stranger", "anon"] {
        session.run(&format!("set role {role}"));
        super::denied(
            &mut session,
            &format!("select worker.game_dm_conversations('{HERO}', 10)"),
        );
        session.run("reset role");
    }
}

fn a_partitioned_table_is_a_table(database: &Database) {
    let mut session = database.session();
    session.run(CLIMB);
    session.run(TALK);
    session.run("set role game;
        create table journal_entries (character_id uuid, entry_type text, content text, metadata jsonb) partition by hash (character_id);
        create table journal_part partition of journal_entries for values with (modulus 1, remainder 0);
        create constraint trigger at_commit after insert on journal_part deferrable initially deferred for each row execute function climb();
        reset role; select worker.setup()");
    assert_eq!(summarise(&mut session), "completed");
    assert_eq!(session.count("journal_entries"), 1);
    assert_eq!(who(&mut session), ["at_commit game"]);
}
