//! A table of one of our names that is none of the guide's: refused, and nothing is changed.

use super::{Install, everything, on_both};
use pg_worker_tests::{Cluster, Database};

on_both!(
    another_shape_is_named_and_nothing_is_changed,
    one_strange_table_keeps_the_others_from_being_changed,
    a_view_that_reads_an_enumeration_is_named,
);

/// What somebody has, and the words that the refusal must have.
const SHAPES: [(&str, &str); 8] = [
    (
        "create table worker_jobs (id bigint primary key, payload text)",
        "public.worker_jobs is here already and has another shape: column id is bigint, not uuid; it has no column job_type",
    ),
    (
        "create table quest_templates (id uuid primary key, title text, description text, objectives text, used boolean)",
        "column objectives is text, not jsonb",
    ),
    (
        "create table npc_personalities (id uuid, name text, race text, occupation text, personality text, quirk text, secret text)",
        "it has no column used",
    ),
    (
        "create table content_pools (kind text primary key, depth real)",
        "public.content_pools is here already",
    ),
    (
        "create table session_summaries (id uuid primary key, character_id bigint, summary text)",
        "column character_id is bigint, not uuid",
    ),
    (
        "create view dungeon_content as select 1 as id",
        "public.dungeon_content is here already and has another shape: it is no ordinary table",
    ),
    (
        "create table combat_encounters (id uuid, name text, used boolean) partition by list (used)",
        "it is no ordinary table",
    ),
    (
        "create table campaign_pois (id uuid primary key, campaign_seed text, name text, type text, description text, used boolean, region integer not null)",
        "its column region must be given and is unknown here",
    ),
];

fn empty(install: Install) -> Database<'static> {
    Database::empty(match install {
        Install::Extension => Cluster::quiet(),
        Install::SqlOnly => Cluster::plain(),
    })
}

fn another_shape_is_named_and_nothing_is_changed(install: Install) {
    for (table, words) in SHAPES {
        let database = empty(install);
        let mut session = database.session();
        session.run(table);
        let before = everything(&mut session);
        let refusal = install.refused(&database);
        assert!(refusal.contains(words), "{table}: {refusal}");
        assert!(refusal.contains("Nothing was changed"), "{refusal}");
        assert_eq!(everything(&mut session), before, "{table}");
    }
}

fn one_strange_table_keeps_the_others_from_being_changed(install: Install) {
    let database = install.guide();
    let mut session = database.session();
    session.run("alter table dungeon_content alter column room_count type text");
    let before = everything(&mut session);
    let refusal = install.refused(&database);
    assert!(
        refusal.contains("column room_count is text, not integer"),
        "{refusal}"
    );
    assert_eq!(everything(&mut session), before);
    assert_eq!(session.count("worker_jobs"), 14);
}

fn a_view_that_reads_an_enumeration_is_named(install: Install) {
    let database = install.guide();
    let mut session = database.session();
    session.run("create view my_queue as select status, count(*) from worker_jobs group by status");
    let before = everything(&mut session);
    let refusal = install.refused(&database);
    assert!(
        refusal.contains("view public.my_queue depends on column \"status\"")
            && refusal.contains("make it anew"),
        "{refusal}"
    );
    assert_eq!(everything(&mut session), before);
    session.run("drop view my_queue");
    install.over(&database);
}
