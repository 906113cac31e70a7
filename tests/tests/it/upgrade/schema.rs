//! Everything of ours that PostgreSQL's catalogs know, as lines that can be compared.

use pg_worker_tests::Session;
use std::collections::BTreeSet;

const FUNCTIONS: &str = "
    select format('function %s: %s, owner %s, %s, %s', f, md5(pg_get_functiondef(f)), p.proowner::regrole, m.deptype,
                  coalesce(obj_description(f, 'pg_proc'), ''))
      from worker.our_functions() f join pg_proc p on p.oid = f
      left join pg_depend m on m.objid = p.oid and m.classid = 'pg_proc'::regclass and m.deptype = 'e'";

const FUNCTION_GRANTS: &str = "
    select format('grant %s on function %s to %s', a.privilege_type, f, a.grantee::regrole)
      from worker.our_functions() f join pg_proc p on p.oid = f cross join aclexplode(p.proacl) a";

/// To others than the owner of that moment.
const INITIAL_GRANTS: &str = "
    select format('initial grant on %s: %s to %s', f, a.privilege_type, a.grantee::regrole)
      from worker.our_functions() f join pg_init_privs i on i.objoid = f and i.classoid = 'pg_proc'::regclass
     cross join aclexplode(i.initprivs) a where a.grantee <> a.grantor";

const RELATIONS: &str = "
    select format('relation %s: %s, owner %s, row security %s, options %s, %s', c.oid::regclass, c.relkind, c.relowner::regrole,
                  c.relrowsecurity, c.reloptions, obj_description(c.oid, 'pg_class'))
      from worker.our_relations() r join pg_class c on c.oid = r";

const RELATION_GRANTS: &str = "
    select format('grant %s on %s to %s', a.privilege_type, r, a.grantee::regrole)
      from worker.our_relations() r join pg_class c on c.oid = r cross join aclexplode(c.relacl) a";

const COLUMNS: &str = "
    select format('column %s.%s %s: %s, not null %s, default %s, %s', r, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod),
                  a.attnotnull, pg_get_expr(d.adbin, d.adrelid), col_description(a.attrelid, a.attnum))
      from worker.our_relations() r
      join pg_attribute a on a.attrelid = r and a.attnum > 0 and not a.attisdropped
      left join pg_attrdef d on d.adrelid = r and d.adnum = a.attnum";

const INDEXES: &str = "
    select 'index ' || pg_get_indexdef(i.indexrelid) from worker.our_relations() r join pg_index i on i.indrelid = r";

const CONSTRAINTS: &str = "
    select format('constraint %s of %s: %s', c.conname, r, pg_get_constraintdef(c.oid))
      from worker.our_relations() r join pg_constraint c on c.conrelid = r";

const TRIGGERS: &str = "
    select format('trigger %s, enabled %s', pg_get_triggerdef(t.oid), t.tgenabled)
      from worker.our_relations() r join pg_trigger t on t.tgrelid = r and not t.tgisinternal";

const VIEWS: &str = "
    select format('view %s: %s', r, pg_get_viewdef(r)) from worker.our_relations() r
      join pg_class c on c.oid = r and c.relkind = 'v'";

const POLICIES: &str = "
    select format('policy %s on %s: %s to %s using %s check %s', p.polname, r, p.polcmd, p.polroles::regrole[],
                  pg_get_expr(p.polqual, r), pg_get_expr(p.polwithcheck, r))
      from worker.our_relations() r join pg_policy p on p.polrelid = r";

const SCHEMA: &str = "
    select format('schema worker: owner %s, grants %s, %s', n.nspowner::regrole,
                  (select string_agg(g::text, ' ' order by g::text) from unnest(n.nspacl) g), obj_description(n.oid, 'pg_namespace'))
      from pg_namespace n where n.nspname = 'worker'";

const SHIPPED: &str = "
    select format('kind %s: %s', k.kind, md5(to_jsonb(k)::text)) from worker.kinds k where k.shipped
    union all select 'tables of version ' || worker.schema_version()
    union all select 'extension ' || extversion from pg_extension where extname = 'pg_worker_ext'";

/// Every object, column, right and comment of ours.
pub fn lines(session: &mut Session) -> BTreeSet<String> {
    let all = [
        FUNCTIONS,
        FUNCTION_GRANTS,
        INITIAL_GRANTS,
        RELATIONS,
        RELATION_GRANTS,
        COLUMNS,
        INDEXES,
        CONSTRAINTS,
        TRIGGERS,
        VIEWS,
        POLICIES,
        SCHEMA,
        SHIPPED,
    ];
    all.into_iter()
        .flat_map(|sql| session.column::<String>(sql, &[]))
        .collect()
}
