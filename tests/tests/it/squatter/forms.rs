//! What stands in the way: things of the names that we and a game use, made by an ordinary role and full of its code.

/// A table or view that we, or a game, would have under this name.
pub struct Wanted {
    /// Without its schema.
    pub name: String,
    /// `name type` of each column.
    pub columns: Vec<(String, String)>,
}

impl Wanted {
    fn list(&self, of: impl Fn(&str, &str) -> String) -> String {
        let columns = self.columns.iter().map(|(name, kind)| of(name, kind));
        columns.collect::<Vec<_>>().join(", ")
    }

    fn plain(&self) -> String {
        self.list(|name, kind| format!("{name} {kind}"))
    }

    fn null_columns(&self) -> String {
        self.list(|name, kind| format!("(villain.spy('view'))::{kind} as {name}"))
    }
}

/// A sort of thing in the way: SQL with `$t`, the table's name; `$plain`, its columns; `$first`, the first of them.
const FORMS: &[(&str, &str)] = &[
    (
        "triggers",
        "create table $t ($plain);
         create trigger a before insert or update or delete on $t for each row execute function villain.tells();
         create trigger b after insert or update or delete on $t for each row execute function villain.tells();
         create trigger c before insert or update or delete or truncate on $t for each statement execute function villain.tells();
         create constraint trigger d after insert or update or delete on $t deferrable initially deferred for each row execute function villain.tells()",
    ),
    ("defaults", "create table $t ($defaults)"),
    ("checks", "create table $t ($plain, check (villain.is_fine('check')))"),
    (
        "policies",
        "create table $t ($plain); alter table $t enable row level security; alter table $t force row level security;
         create policy a on $t using (villain.is_fine('policy')) with check (villain.is_fine('policy of new rows'))",
    ),
    ("generated", "create table $t ($plain, made text generated always as (villain.still('generated column')) stored)"),
    (
        "indexes",
        "create table $t ($plain); create index on $t (villain.still('index')); create index on $t ($first) where villain.is_fine('part of an index')",
    ),
    ("view", "create view $t as select $nulls where villain.is_fine('view')"),
    (
        "view with triggers",
        "create table villain.kept_$n ($plain); create view $t as select * from villain.kept_$n where villain.is_fine('view over a table');
         create trigger a instead of insert or update or delete on $t for each row execute function villain.tells()",
    ),
    (
        "partitioned",
        "create table $t ($plain) partition by list ($first); create table villain.part_$n partition of $t default;
         create trigger a before insert or update or delete on $t for each row execute function villain.tells();
         alter table villain.part_$n add check (villain.is_fine('check of a partition'))",
    ),
    (
        "rules",
        "create table $t ($plain); create rule a as on insert to $t do also select villain.spy('rule');
         create rule b as on update to $t do also select villain.spy('rule'); create rule c as on delete to $t do also select villain.spy('rule')",
    ),
    ("inherited", "create table $t ($plain); create table villain.child_$n (check (villain.is_fine('check of a child'))) inherits ($t)"),
    ("domains", "create table $t ($domains)"),
    ("words of its own", "create table $t ($words)"),
    ("materialized", "create materialized view $t as select $nulls with no data"),
    (
        // Where PostgreSQL brings no postgres_fdw, there is no such server, and this one is left out.
        "foreign table",
        "create table villain.far_$n ($plain);
         create foreign table $t ($plain) server villain_loop options (schema_name 'villain', table_name 'far_$n');
         create trigger a before insert or update or delete on $t for each row execute function villain.tells()",
    ),
    ("foreign keys", "create table villain.parent_$n (x uuid primary key, check (villain.is_fine('check of a parent')));
        create table $t ($plain); create trigger a after insert on $t for each row execute function villain.tells()"),
];

/// One of the villain's wares: what it is called and how it is made.
pub struct Obstacle {
    pub what: String,
    pub sql: String,
}

/// Every form of one table, with a row in it where it may be.
pub fn forms(wanted: &Wanted) -> Vec<Obstacle> {
    let sort = |(what, sql): &(&str, &str)| Obstacle {
        what: format!("{what} as {}", wanted.name),
        sql: filled(sql, wanted) + &a_row(what, wanted),
    };
    FORMS.iter().map(sort).collect()
}

fn filled(sql: &str, wanted: &Wanted) -> String {
    let of_its_own = |name: &str, kind: &str| match kind {
        "text" => format!("{name} villain.seed"),
        "uuid" => format!("{name} villain.identity"),
        "jsonb" => format!("{name} villain.document"),
        _ => format!("{name} {kind}"),
    };
    let word =
        |name: &str, kind: &str| format!("{name} {}", if kind == "text" { "villain.word" } else { kind });
    let default =
        |name: &str, kind: &str| format!("{name} {kind} default (villain.spy('default of {name}'))::{kind}");
    sql.replace("$plain", &wanted.plain())
        .replace("$defaults", &wanted.list(default))
        .replace("$domains", &wanted.list(of_its_own))
        .replace("$words", &wanted.list(word))
        .replace("$nulls", &wanted.null_columns())
        .replace("$first", &wanted.columns[0].0)
        .replace("$t", &format!("public.{}", wanted.name))
        .replace("$n", &wanted.name)
}

/// A campaign, so that whoever reads finds something, and every right to everybody.
fn a_row(what: &str, wanted: &Wanted) -> String {
    let open = format!("; grant all on public.{} to public", wanted.name);
    let has = |column: &str| wanted.columns.iter().any(|(name, _)| name == column);
    if what.contains("view")
        || matches!(what, "materialized" | "foreign table")
        || what == "words of its own"
        || !has("campaign_seed")
    {
        return open;
    }
    format!(
        "{open}; insert into public.{} (campaign_seed) values ('ember')",
        wanted.name
    )
}

/// Functions of our names and better fitting ones than PostgreSQL's, in the schemas that the villain may use.
pub fn functions() -> Vec<Obstacle> {
    let body =
        "returns text language plpgsql as $$ begin return villain.spy('function of a known name'); end $$";
    let overloads = [
        "format(text, text)",
        "concat_ws(text, text)",
        "coalesce_to(text)",
        "lower(text)",
        "to_regclass(text)",
        "left(text, bigint)",
        "jsonb_build_object(text, text)",
        "jsonb_build_object(text, integer)",
        "jsonb_build_object(text, text, text, text)",
        "quote_ident(name)",
        "current_setting(name, boolean)",
        "array_to_string(text[], text)",
        "has_table_privilege(text, text)",
        "string_agg(text, text)",
    ];
    let overloads: Vec<String> = overloads
        .iter()
        .map(|f| format!("create function public.{f} {body}"))
        .collect();
    let ours = [
        "schedule_pool_check()",
        "cancel_worker_job(uuid)",
        "enqueue_worker_job(text, jsonb, integer, timestamptz, text)",
        "enqueue_worker_job(text, jsonb)",
        "claim_npc_from_pool(text, jsonb, text)",
        "claim_from_pool(text)",
    ];
    let ours: Vec<String> = ours
        .iter()
        .map(|f| format!("create function public.{f} {body}"))
        .collect();
    let schema = [
        "version()",
        "setup()",
        "setting(text, text)",
        "refuse(text, text, text)",
        "may_change(text)",
        "foreign_code(regclass)",
        "native_info()",
        "wake_up()",
    ];
    let schema: Vec<String> = schema
        .iter()
        .map(|f| format!("create function worker.{f} {body}"))
        .collect();
    let operators = "create function public.eq(text, name) returns boolean language plpgsql as $$ begin return villain.is_fine('operator'); end $$;
        create operator public.<> (leftarg = text, rightarg = regclass, function = public.eq_class);
        create operator public.= (leftarg = text, rightarg = name, function = public.eq)";
    let operators = format!(
        "create function public.eq_class(text, regclass) returns boolean language plpgsql as $$ begin return villain.is_fine('operator'); end $$; {operators}"
    );
    let obstacle = |what: &str, sql: String| Obstacle {
        what: what.to_owned(),
        sql,
    };
    vec![
        obstacle("better fitting functions", overloads.join("; ")),
        obstacle("functions of our names", ours.join("; ")),
        obstacle("operators", operators),
        obstacle("schema worker with functions", format!("create schema worker; {}", schema.join("; "))),
        obstacle(
            "schema worker with tables",
            "create schema worker;
             create table worker.kinds (kind text default villain.spy('default'), item_table text, store_function text, check (villain.is_fine('check')));
             create trigger a before insert or update on worker.kinds for each row execute function villain.tells();
             create view worker.schema_version as select villain.spy('view') as version, true as only_row, now() as adopted_at;
             create table worker.items (job_id uuid, item_no integer, kind villain.seed, scope villain.seed, item_id uuid, title text, title_key text, created_at timestamptz)"
                .to_owned(),
        ),
    ]
}
