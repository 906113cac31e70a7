//! The worker acts as the owner of the tables, and code of the owner's that it meets there (triggers,
//! deferred ones too, a view in the place of a table) stays the owner: there is no way back to the
//! superuser that the process began as.

use super::SERVED;
use pg_worker_tests::{BOUND, Cluster, Database, Session};

/// Notes who it is, and tries to become somebody else.
const CLIMB: &str = "
    create table seen (place text, who name, got text);
    create function climb(place text) returns boolean language plpgsql as $$
    declare
      v_way text;
      v_got text := '';
    begin
      foreach v_way in array array['reset role', 'set role postgres', 'set role none',
                                   'set session authorization default', 'alter role app superuser'] loop
        begin
          execute v_way;
          v_got := v_got || v_way || ';';
        exception when others then null;
        end;
      end loop;
      -- Whoever it has become by now may or may not do this.
      begin
        alter role app superuser;
        v_got := v_got || 'a superuser';
      exception when others then null;
      end;
      insert into public.seen values (place, current_user, v_got);
      return true;
    end $$;
    create function climb() returns trigger language plpgsql as
      $$ begin perform public.climb(tg_name); return new; end $$";

/// A role that nobody can log in as owns everything; a session that acts as it.
fn owned_by_app(cluster: &Cluster) -> (Database<'_>, Session) {
    cluster.session("postgres").run("create role app");
    let db = Database::empty(cluster);
    let mut session = db.session();
    session.run(
        "grant create on schema public to app;
         begin; set local pg_worker_ext.owner = 'app'; create extension pg_worker_ext;
         update content_pools set enabled = false; commit; set role app",
    );
    session.run(CLIMB);
    (db, session)
}

/// What was seen in these places: always the owner, who got nowhere.
#[track_caller]
fn nobody_rose(session: &mut Session, places: &[&str]) {
    let seen: Vec<String> = session.column(
        "select distinct concat_ws(' ', place, who, got) from seen order by 1",
        &[],
    );
    let expected: Vec<String> = places.iter().map(|place| format!("{place} app ")).collect();
    assert_eq!(seen, expected);
    let superuser = "select rolsuper from pg_roles where rolname = 'app'";
    assert!(!session.value::<bool>(superuser, &[]));
}

#[test]
fn a_trigger_of_the_owner_stays_the_owner() {
    let cluster = Cluster::own(&[]);
    let (_db, mut session) = owned_by_app(&cluster);
    session.run(
        "create trigger at_once before insert on worker_jobs for each row
           when (new.job_type = 'generate_quests') execute function climb();
         create constraint trigger at_commit after insert on worker_jobs deferrable initially deferred for each row
           when (new.job_type = 'generate_quests') execute function climb();
         update content_pools set enabled = true where kind = 'quest'",
    );
    session.wait_until_true("select count(distinct place) = 2 from seen", BOUND);
    nobody_rose(&mut session, &["at_commit", "at_once"]);
    assert_eq!(session.count("worker_jobs where job_type = 'generate_quests'"), 2);
}

#[test]
fn a_view_in_the_place_of_a_table_is_read_as_the_owner() {
    let cluster = Cluster::own(&["pg_worker_ext.tick_interval = 1"]);
    let (_db, mut session) = owned_by_app(&cluster);
    session.wait_until_true(SERVED, BOUND);
    session.run(
        "reset role; begin; alter table worker.pool_trouble rename to real_trouble;
         create view worker.pool_trouble as select * from worker.real_trouble where public.climb('view');
         insert into worker.real_trouble values ('quest', '', 1, 'no', now(), now() + interval '1 hour');
         alter view worker.pool_trouble owner to app; commit",
    );
    session.wait_until_true("select exists (select from seen where place = 'view')", BOUND);
    nobody_rose(&mut session, &["view"]);
}

/// The owner may put a function of his own in the place of one that the worker calls.
#[test]
fn a_function_of_the_owner_runs_as_the_owner() {
    let cluster = Cluster::own(&["pg_worker_ext.tick_interval = 1"]);
    let (_db, mut session) = owned_by_app(&cluster);
    session.wait_until_true(SERVED, BOUND);
    session.run(
        "create or replace function worker.next_due(p_announced timestamptz default null) returns timestamptz
           language plpgsql security invoker as $$ begin perform public.climb('function'); return null; end $$",
    );
    session.wait_until_true("select exists (select from seen where place = 'function')", BOUND);
    nobody_rose(&mut session, &["function"]);
}
