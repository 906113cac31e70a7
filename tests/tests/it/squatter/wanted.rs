//! The names that we and a game use, and what such a table has for columns.

use super::forms::{self, Obstacle, Wanted};
use pg_worker_tests::Database;

/// The game's own tables that we look for.
const OF_THE_GAME: [(&str, &str); 4] = [
    ("characters", "id uuid, name text, campaign_seed text"),
    (
        "dm_conversations",
        "id bigint, character_id uuid, role text, content text, created_at timestamptz",
    ),
    (
        "journal_entries",
        "id uuid, character_id uuid, entry_type text, content text, metadata jsonb, created_at timestamptz",
    ),
    (
        "world_pois",
        "id uuid, campaign_seed text, name text, type text, description text, created_at timestamptz",
    ),
];

/// The tables and views of schema public as we make them.
pub fn ours() -> Vec<Wanted> {
    let database = Database::quiet();
    let mut session = database.session();
    let sql = "select c.relname::text, array_agg(quote_ident(a.attname) order by a.attnum), array_agg(format_type(a.atttypid, null) order by a.attnum)
                 from worker.our_relations() r join pg_class c on c.oid = r join pg_attribute a on a.attrelid = r and a.attnum > 0
                where c.relnamespace = 'public'::regnamespace group by 1 order by 1";
    let rows = session.rows(sql, &[]);
    let wanted = |row: &postgres::Row| Wanted {
        name: row.get(0),
        columns: row
            .get::<_, Vec<String>>(1)
            .into_iter()
            .zip(row.get::<_, Vec<String>>(2))
            .collect(),
    };
    rows.iter().map(wanted).collect()
}

fn of_the_game() -> Vec<Wanted> {
    let column = |text: &str| {
        let (name, kind) = text.split_once(' ').expect("a name and a type");
        (name.to_owned(), kind.to_owned())
    };
    let wanted = |(name, columns): &(&str, &str)| Wanted {
        name: (*name).to_owned(),
        columns: columns.split(", ").map(column).collect(),
    };
    OF_THE_GAME.iter().map(wanted).collect()
}

/// All of the game's tables in one form at once.
pub fn game_in_each_form() -> Vec<Obstacle> {
    let each: Vec<Vec<Obstacle>> = of_the_game().iter().map(forms::forms).collect();
    let of_form = |n: usize| Obstacle {
        what: each[0][n].what.replace("characters", "the game's tables"),
        sql: each
            .iter()
            .map(|table| table[n].sql.as_str())
            .collect::<Vec<_>>()
            .join("; "),
    };
    (0..each[0].len()).map(of_form).collect()
}
