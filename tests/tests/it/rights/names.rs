//! Roles by any name: such as must be quoted, and such as differ in their last character.

use super::on_both;
use pg_worker_tests::{Database, Session};

on_both!(
    roles_whose_names_need_quotes_are_backends_and_executors,
    long_names_that_differ_at_their_end_have_policies_of_their_own,
    a_role_that_was_renamed_keeps_what_it_has,
);

/// A role for this database alone; roles belong to the server.
fn role(database: &Database, like: &str) -> String {
    let name = format!("{like} {}", database.name());
    database.session().run(&format!(
        "do $$ begin create role {0} login; exception when duplicate_object then null; end $$",
        quoted(&name)
    ));
    name
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn forget(database: &Database, roles: &[String]) {
    let mut session = database.session();
    for role in roles {
        session.run(&format!("drop owned by {0}; drop role {0}", quoted(role)));
    }
}

fn plays(session: &mut Session) {
    session.run("select enqueue_worker_job('generate_quests'); select * from claim_quest_from_pool(null); select * from content_pool_status");
    assert!(session.count("worker_jobs") > 0, "it sees rows");
}

fn roles_whose_names_need_quotes_are_backends_and_executors(database: &Database) {
    let mut session = database.session();
    let roles =
        ["GameOwner", "John.Doe", "select", "it's \"quoted\"", "Ünal"].map(|name| role(database, name));
    for role in &roles {
        session.rows(
            "select worker.grant_backend($1), worker.grant_executor($1)",
            &[role],
        );
        plays(&mut database.session_as(role));
        database.session_as(role).run("select worker.tick()");
    }
    session.run("select worker.setup()");
    plays(&mut database.session_as(&roles[0]));
    forget(database, &roles);
}

fn long_names_that_differ_at_their_end_have_policies_of_their_own(database: &Database) {
    let mut session = database.session();
    let long = format!(
        "{}_{}",
        database.name(),
        "x".repeat(60 - database.name().len() - 1)
    );
    let roles = ["aa", "ab", "ba"].map(|end| format!("{long}{end}"));
    for role in &roles {
        session.run(&format!("create role {role} login"));
        session.rows(
            "select worker.grant_backend($1), worker.grant_executor($1)",
            &[role],
        );
    }
    for role in &roles {
        plays(&mut database.session_as(role));
    }
    let policies = session.count("pg_policy where polrelid = 'worker_jobs'::regclass");
    session.run("select worker.setup()");
    assert_eq!(
        session.count("pg_policy where polrelid = 'worker_jobs'::regclass"),
        policies
    );
    forget(database, &roles);
    // Short ones are called as ever.
    session.run("select worker.grant_backend('game'); select worker.grant_executor('gpu')");
    assert_eq!(
        session
            .count("pg_policy where polrelid = 'worker_jobs'::regclass and polname = 'pg_worker_ext game'"),
        1
    );
    assert_eq!(
        session.count("pg_policy where polname = 'pg_worker_ext executor gpu'"),
        1
    );
}

fn a_role_that_was_renamed_keeps_what_it_has(database: &Database) {
    let mut session = database.session();
    let (old, new) = (role(database, "old"), format!("new {}", database.name()));
    session.rows("select worker.grant_backend($1)", &[&old]);
    session.run(&format!("alter role {} rename to {}", quoted(&old), quoted(&new)));
    let policies = session.count("pg_policy");
    session.run("drop view worker_costs; select worker.setup()");
    assert_eq!(session.count("pg_policy"), policies);
    plays(&mut database.session_as(&new));
    // Somebody else may have the name now.
    let other = role(database, "old");
    session.rows("select worker.grant_backend($1)", &[&other]);
    plays(&mut database.session_as(&other));
    forget(database, &[new, other]);
}

/// The owner's name, too, in both installs.
#[test]
fn an_owner_whose_name_needs_quotes_can_install() {
    for install in ["create extension pg_worker_ext", "single file"] {
        for like in ["GameOwner", "John.Doe"] {
            let database = super::generous();
            let owner = role(&database, like);
            let mut session = database.session();
            session.run(&format!(
                "grant create, usage on schema public to {}; set pg_worker_ext.owner = '{owner}'",
                quoted(&owner)
            ));
            if install == "single file" {
                session.run(&pg_worker_tests::paths::read("sql/pg_worker_ext.sql"));
            } else {
                session.run(install);
            }
            session.run("select worker.setup()");
            assert_eq!(
                session.value::<String>("select worker.about() ->> 'owner'", &[]),
                owner
            );
            assert_eq!(
                session.value::<Option<String>>("select worker.ready()", &[]),
                None
            );
            session.run("select enqueue_worker_job('generate_quests'); select worker.tick(); select worker.lease_jobs(gen_random_uuid())");
            let rest = "drop extension if exists pg_worker_ext cascade; drop owned by";
            session.run(&format!(
                "reset pg_worker_ext.owner; {rest} {0} cascade; drop role {0}",
                quoted(&owner)
            ));
        }
    }
}
