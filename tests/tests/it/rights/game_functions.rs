//! The functions through which the game's own tables are used: what keeps them, and who may make them.

use super::game_tables::check;

/// Data, like views: neither DROP EXTENSION nor a change of the install takes them.
#[test]
fn the_functions_stay_over_drop_and_create_and_from_one_install_to_the_other() {
    let database = super::generous();
    let mut session = database.session();
    session.run("create table characters (campaign_seed text); grant create on schema public to game; alter table characters owner to game");
    database.install_sql_only();
    let made = "select oid from pg_proc where oid = to_regprocedure('worker.game_characters()')";
    let before: u32 = session.value(made, &[]);
    for step in [
        "create extension pg_worker_ext",
        "drop extension pg_worker_ext cascade",
        "create extension pg_worker_ext",
        "select worker.setup()",
    ] {
        session.run(step);
        assert_eq!(session.value::<u32>(made, &[]), before, "{step}");
        let member = "pg_depend where objid = to_regprocedure('worker.game_characters()') and deptype = 'e'";
        assert_eq!(session.count(member), 0, "{step}");
    }
    assert_eq!(check(&mut session), None);
    // The script makes them, too, and keeps none.
    session.run("drop extension pg_worker_ext cascade; drop function worker.game_characters; create extension pg_worker_ext");
    let kept = "select count(*) from pg_depend where objid = 'worker.game_characters()'::regprocedure and deptype = 'e'";
    assert_eq!(session.value::<i64>(kept, &[]), 0);
    assert_eq!(
        session.count("pg_init_privs where objoid = 'worker.game_characters()'::regprocedure"),
        0
    );
    assert_eq!(check(&mut session), None);
}

/// Whoever installs and is no member of a table's owner cannot act for him, and is told what to do.
#[test]
fn who_may_not_make_a_function_is_told_the_statement() {
    let database = super::generous();
    let mut session = database.session();
    session.run(
        "create table characters (campaign_seed text); alter table characters owner to stranger;
                 grant create on schema public to game; grant usage, create on schema public to stranger",
    );
    session.run(&format!("grant create on database {} to game", database.name()));
    let mut game = database.session_as("game");
    game.run(&pg_worker_tests::paths::read("sql/pg_worker_ext.sql"));
    let notices = game.notices().join("\n");
    assert!(
        notices.contains("characters belongs to stranger, of which game is no member")
            && notices.contains("GRANT stranger TO game;"),
        "{notices}"
    );
    let note = check(&mut game).expect("a note");
    assert!(note.contains("SELECT worker.setup();"), "{note}");
    session.run("grant stranger to game");
    game.run("select worker.setup()");
    assert_eq!(check(&mut game), None);
    let owner =
        "select proowner::regrole::text from pg_proc where oid = 'worker.game_characters()'::regprocedure";
    assert_eq!(session.value::<String>(owner, &[]), "stranger");
    let lent = "select has_schema_privilege('stranger', 'worker', 'create')";
    assert!(!session.value::<bool>(lent, &[]));
    session.run("revoke stranger from game");
}
