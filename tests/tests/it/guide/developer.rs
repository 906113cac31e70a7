//! `docs/developer.md`: what a game does, on full pools and without an executor.

use super::calls;
use super::page::Page;
use super::place::Place;
use pg_worker_tests::{Database, Executor};
use std::collections::BTreeMap;
use uuid::Uuid;

#[test]
fn the_game_developers_page() {
    let database = Database::quiet();
    let mut page = Page::open("docs/developer.md");
    let place = Place::new(&database);
    place.make_game();
    // A claim for which nothing fits leads to a job; the executor of this test ends when all is done.
    place.session().run("select schedule_pool_check()");
    Executor::on(&database).succeeds("once");
    claims(&mut page, &place, &database);
    jobs(&mut page, &place);
    place.sql(&page.sql("Errors"));
    tables(&mut page, &place);
    pools(&mut page, &place);
    own_kind(&mut page, &place);
    page.is_over();
    parameters_are_explained(&page, &place);
}

fn claims(page: &mut Page, place: &Place, database: &Database) {
    let claims = page.sql("Claims");
    let mut session = place.session();
    let explained = page.table("function");
    assert_eq!(explained.len(), 5);
    for statement in claims.text.lines() {
        let statement = statement.split(" --").next().expect("the statement").trim_end();
        let columns = calls::claims(statement, &mut session, || {
            drop(Executor::on(database).succeeds("once"))
        })
        .join(", ");
        let row = explained
            .iter()
            .find(|row| statement.contains(row[0].split('(').next().expect("a name")));
        assert_eq!(row.expect("explained")[1], columns);
    }
    place.sql(&claims);
    calls::names_functions(&page.take("typescript", "Claims"), &mut session);
    place.sql(&page.sql("The same request, the same item"));
    assert_eq!(
        session.count("quest_templates where request_id = 'click-4711' and used"),
        1
    );
}

fn jobs(page: &mut Page, place: &Place) {
    let mut session = place.session();
    let block = page.sql("Jobs");
    let printed = place.sql(&block);
    let ids: Vec<Uuid> = printed
        .lines()
        .map(|line| line.parse().expect("a job's id"))
        .collect();
    let again = place.sql(&block);
    assert_eq!(
        again.lines().last(),
        printed.lines().last(),
        "the dedupe key gives the same job"
    );
    let later = "select run_at > now() + interval '59 minutes' from worker_jobs where id = $1";
    assert!(session.value::<bool>(later, &[&ids[1]]));
    calls::names_functions(&page.take("typescript", "Jobs"), &mut session);
    let became = page
        .sql("What became of it")
        .with("job-uuid", &ids[0].to_string());
    let became = place.sql(&became);
    assert_eq!(became.lines().collect::<Vec<_>>(), ["pending|0|5||", "t", "t"]);
}

fn tables(page: &mut Page, place: &Place) {
    let mut session = place.session();
    const UNUSED: &str = "npc_personalities where not used";
    session.run("update quest_templates set used = true");
    let unused = session.count(UNUSED);
    place.sql(&page.sql("The tables themselves"));
    let claimed: String = session.value("select title from claim_quest_from_pool(null)", &[]);
    assert_eq!(claimed, "The Baker's Oven");
    assert_eq!(session.count(UNUSED), unused - 1, "one NPC was taken");
}

fn own_kind(page: &mut Page, place: &Place) {
    let printed = place.sql(&page.sql("A kind of your own"));
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines.first(), Some(&"public.asteroid_items"));
    assert!(
        printed.contains("It orbits ") && printed.contains("(none yet)"),
        "{printed}"
    );
    assert_eq!(lines.last(), Some(&"t"), "dropped: {printed}");
    let asked =
        "select count(*) from worker_jobs where job_type = 'generate_asteroid' and status = 'cancelled'";
    assert_eq!(
        place.session().value::<i64>(asked, &[]),
        2,
        "the one enqueued, and the one that the claim asked for"
    );
}

fn pools(page: &mut Page, place: &Place) {
    const HERE: &str = "Pools and prompts";
    let mut session = place.session();
    place.sql(&page.sql(HERE));
    let dungeon = session.row("select sampling, model from worker.preview_item('dungeon')", &[]);
    let (sampling, model): (serde_json::Value, String) = (dungeon.get(0), dungeon.get(1));
    assert_eq!(
        (&sampling["max_tokens"], model.as_str()),
        (&serde_json::json!(1200), "qwen3-8b")
    );
    assert_eq!(
        session.count("content_pools where kind = 'quest' and min_size = 50 and batch_size = 20"),
        1
    );
    let preview = place.sql(&page.sql(HERE));
    assert!(
        preview.contains("{{recent_titles}}"),
        "the shipped prompt: {preview}"
    );
    assert!(
        preview.trim_end().ends_with("Everybody here lives on the sea."),
        "{preview}"
    );
    let own = session.count("content_pools where prompt is not null");
    assert_eq!(own, 0);
    let kept = "insert into quest_templates (title, description, provenance)
        values ('Poor', 'x', '{\"generator\": \"llm\", \"model\": \"m\", \"prompt_version\": \"own-1a2b3c4d\"}')";
    session.run(kept);
    let seen = place.sql(&page.sql(HERE));
    assert!(seen.contains("llm|m|own-1a2b3c4d|1"), "{seen}");
    assert_eq!(seen.lines().last(), Some("1"), "one item left the pool");
}

/// The two tables say what worker.kinds says.
fn parameters_are_explained(page: &Page, place: &Place) {
    let mut session = place.session();
    let rows = session.rows(
        "select k.job_type, p.key, p.value from worker.kinds k, jsonb_each(k.parameters) p order by 1, 2",
        &[],
    );
    let mut rules: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let explained: BTreeMap<String, Vec<String>> = page
        .table("parameter")
        .into_iter()
        .map(|row| (row[0].clone(), row))
        .collect();
    for row in rows {
        let (job_type, name, rule): (String, String, serde_json::Value) =
            (row.get(0), row.get(1), row.get(2));
        let line = explained
            .get(&name)
            .unwrap_or_else(|| panic!("{name} is not explained"));
        for bound in ["min", "max"].iter().filter(|_| rule["type"] != "messages") {
            if let Some(number) = rule.get(bound) {
                assert!(line[1].contains(&number.to_string()), "{name}: {bound} {number}");
            }
        }
        if let Some(default) = rule.get("default") {
            assert_eq!(line[2].replace(' ', ""), default.to_string(), "{name}");
        }
        rules.entry(job_type).or_default().push(name);
    }
    for mut row in page
        .table("job type")
        .into_iter()
        .filter(|row| row[0] != "check_all_pools")
    {
        let mut names: Vec<String> = row
            .remove(1)
            .split(", ")
            .map(|name| name.replace(" (required)", ""))
            .collect();
        names.sort();
        assert_eq!(Some(&names), rules.get(&row[0]), "{}", row[0]);
    }
}
