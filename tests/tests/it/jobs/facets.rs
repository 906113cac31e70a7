//! Facets force variety: no two items of a job share all of theirs more often than by chance, further
//! draws included.

use pg_worker_tests::{Database, on_both_installs};
use std::collections::HashMap;

on_both_installs!(
    items_share_all_their_facets_by_chance_only,
    a_list_is_used_up_before_a_value_comes_again
);

/// 200 items, drawn three times each, as worker.next_item() draws.
const DRAWS: &str = "
    select worker.draw_facets(k.facets, concat_ws(':', 'job', 1, nullif(again, 0)), item_no)::text
      from worker.kinds k cross join generate_series(0, 199) item_no cross join generate_series(0, 2) again
     where k.kind = $1";

fn items_share_all_their_facets_by_chance_only(database: &Database) {
    let mut session = database.session();
    let sizes = "select k.kind, (select exp(sum(ln(jsonb_array_length(f.value))))::float8 from jsonb_each(k.facets) f)
                   from worker.kinds k where k.facets <> '{}'";
    let kinds = session.rows(sizes, &[]);
    assert_eq!(kinds.len(), 5);
    for row in kinds {
        let (kind, combinations): (String, f64) = (row.get(0), row.get(1));
        let mut seen: HashMap<String, u32> = HashMap::new();
        for facets in session.column::<String>(DRAWS, &[&kind]) {
            *seen.entry(facets).or_default() += 1;
        }
        let pairs: u32 = seen.values().map(|n| n * (n - 1) / 2).sum();
        let chance = 600.0 * 599.0 / 2.0 / combinations;
        assert!(
            f64::from(pairs) <= 3.0 * chance + 1.0,
            "{kind}: {pairs} pairs, {chance} by chance"
        );
    }
}

fn a_list_is_used_up_before_a_value_comes_again(database: &Database) {
    let sql = "select count(distinct (n / 7, worker.draw_facets('{\"a\": [1, 2, 3, 4, 5, 6, 7]}', 'x', n) ->> 'a')) from generate_series(0, 69) n";
    assert_eq!(database.session().value::<i64>(sql, &[]), 70);
}
