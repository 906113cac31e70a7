-- What stands where
--
--   public   the game's door: the pools, the queue, claims. SECURITY INVOKER: a game backend acts with
--            its own rights (worker.grant_backend).
--   worker   the executor's door: lease, next item, store, complete … SECURITY DEFINER, owned by the
--            owner of the tables, so that an executor (worker.grant_executor) needs no table at all.
--
-- Code (functions) belongs to the extension. Data (tables, and views and triggers, whose definitions name
-- tables) belongs to the user: worker.setup() makes it and nothing but DROP TABLE takes it away, so that
-- dumps, upgrades and DROP EXTENSION never lose a row.
--
-- A job lives as  pending → running → completed | failed | cancelled  (a retry is pending with a later
-- run_at). Whoever holds a running job proves it with the lease token; every write of an executor is
-- fenced by status = 'running' and that token, in the same statement or under the row's lock.
--
-- Rules kept by every piece: all names are qualified and search_path is pinned; 22023 for refused input,
-- naming the field, what was given and what is allowed; READ COMMITTED only (25001), so that no
-- serialisation failure ever leaves a function; rows are locked in one order (job before item) and sets
-- of jobs with SKIP LOCKED, so that no two of us wait for each other.

create or replace function worker.version() returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
return '0.2.0';
comment on function worker.version() is
'Version of the installed code. worker.schema_version holds the version of the tables; where the two differ, run SELECT worker.setup().';

create or replace function worker.contract_version() returns integer
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
return 1;
comment on function worker.contract_version() is
'Version of the protocol between executors and the database. An executor made for another number stops and says which side to update.';

create or replace function worker.setting(p_name text, p_default text) returns text
language sql stable set search_path = pg_catalog, pg_temp
return coalesce(nullif(current_setting('pg_worker_ext.' || p_name, true), ''), p_default);
comment on function worker.setting(text, text) is
'A setting pg_worker_ext.NAME, or the default where it is not set (as in the SQL-only install, where ALTER DATABASE … SET pg_worker_ext.NAME gives it).';

create or replace function worker.refuse(p_field text, p_given text, p_allowed text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  raise exception using
    errcode = 'invalid_parameter_value',
    -- A blank text would not be seen without its quotes.
    message = format('%s: %s is not allowed', p_field, case when btrim(p_given) = '' then quote_literal(left(p_given, 100))
                     else coalesce(left(p_given, 100) || case when length(p_given) > 100 then '…' else '' end, 'NULL') end),
    detail = format('Allowed: %s.', p_allowed);
end $$;
comment on function worker.refuse(text, text, text) is
'Raises 22023 (invalid_parameter_value) with the field, what was given and what is allowed.';

create or replace function worker.require_read_committed() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
    raise exception using
      errcode = 'active_sql_transaction',
      message = format('transaction isolation %s is not supported here', current_setting('transaction_isolation')),
      hint = 'Call this function in a READ COMMITTED transaction, PostgreSQL''s default.';
  end if;
end $$;
comment on function worker.require_read_committed() is
'Raises 25001 in REPEATABLE READ and SERIALIZABLE, where taking a row that somebody else has just taken would end in 40001.';

create or replace function worker.fill_template(p_template text, p_context jsonb) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_rest text := p_template;
  v_done text := '';
  v_hit text[];
begin
  -- One pass: a value that itself contains {{…}} is text and stays text.
  loop
    v_hit := regexp_match(v_rest, '^(.*?)\{\{(\w+)\}\}(.*)$', 's');
    exit when v_hit is null;
    v_done := v_done || v_hit[1] || coalesce(p_context ->> v_hit[2], '');
    v_rest := v_hit[3];
  end loop;
  return v_done || v_rest;
end $$;
comment on function worker.fill_template(text, jsonb) is
'Replaces each {{name}} by the value of that name in the context (nothing where it is absent). Plain substitution: no expressions, no second pass.';

create or replace function worker.number_from_hash(p_text text) returns bigint
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
return ('x' || substr(md5(p_text), 1, 12))::bit(48)::bigint;
comment on function worker.number_from_hash(text) is
'A number from 0 to 2^48-1 that depends on the text alone: the seed of everything that must come out the same again. It stays below 2^53, so that JSON readers keep it exact.';

create or replace function worker.title_words(p_title text) returns text
-- The letters of a script are letters in a database of locale C too, where lower() and [:alnum:] know those of ASCII
-- alone. So what is taken out is named, and so are the capitals. PL/pgSQL, because its plans are kept.
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
declare
  v_title text := p_title;
begin
  -- normalize() exists for UTF8 databases only
  if getdatabaseencoding() = 'UTF8' then
    v_title := normalize(v_title, nfkc);
  end if;
  -- Joiners and variation selectors are part of their character; control characters, blanks and punctuation (of ASCII,
  -- Latin-1, of all languages, of CJK) stand between words.
  v_title := regexp_replace(v_title, '[\u00ad\u200b-\u200f\u2060\ufe00-\ufe0f\ufeff]', '', 'g');
  v_title := regexp_replace(v_title, '[\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00a9\u00ab-\u00b4\u00b6-\u00b9\u00bb-\u00bf'
                                     '\u00d7\u00f7\u060c\u061b\u061f\u066a-\u066d\u06d4\u0964\u0965\u1680\u2000-\u206f\u2e00-\u2e7f\u3000-\u303f\u30fb]+', ' ', 'g');
  return btrim(translate(lower(v_title collate "C"),
    'ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖØÙÚÛÜÝÞĀĂĄĆĈĊČĎĐĒĔĖĘĚĜĞĠĢĤĦĨĪĬĮĲĴĶĹĻĽĿŁŃŅŇŊŌŎŐŒŔŖŘŚŜŞŠŢŤŦŨŪŬŮŰŲŴŶŸŹŻŽΆΈΉΊΌΎΏΑ'
         || 'ΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩΪΫЀЁЂЃЄЅІЇЈЉЊЋЌЍЎЏАБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯѠѢѤѦѨѪѬѮѰѲѴѶѸѺѼѾҀҊҌҎҐҒҔҖҘҚҜ'
         || 'ҞҠҢҤҦҨҪҬҮҰҲҴҶҸҺҼҾӀӁӃӅӇӉӋӍӐӒӔӖӘӚӜӞӠӢӤӦӨӪӬӮӰӲӴӶӸӺӼӾԱԲԳԴԵԶԷԸԹԺԻԼԽԾԿՀՁՂՃՄՅՆՇՈՉՊՋՌՍՎՏՐՑՒՓՔՕՖḀḂḄḆḈḊḌḎḐḒḔḖḘ'
         || 'ḚḜḞḠḢḤḦḨḪḬḮḰḲḴḶḸḺḼḾṀṂṄṆṈṊṌṎṐṒṔṖṘṚṜṞṠṢṤṦṨṪṬṮṰṲṴṶṸṺṼṾẀẂẄẆẈẊẌẎẐẒẔẞẠẢẤẦẨẪẬẮẰẲẴẶẸẺẼẾỀỂỄỆỈỊỌỎỐỒỔỖỘỚỜỞỠỢỤỦỨ'
         || 'ỪỬỮỰỲỴỶỸỺỼỾ',
    'àáâãäåæçèéêëìíîïðñòóôõöøùúûüýþāăąćĉċčďđēĕėęěĝğġģĥħĩīĭįĳĵķĺļľŀłńņňŋōŏőœŕŗřśŝşšţťŧũūŭůűųŵŷÿźżžάέήίόύώα'
         || 'βγδεζηθικλμνξοπρστυφχψωϊϋѐёђѓєѕіїјљњћќѝўџабвгдежзийклмнопрстуфхцчшщъыьэюяѡѣѥѧѩѫѭѯѱѳѵѷѹѻѽѿҁҋҍҏґғҕҗҙқҝ'
         || 'ҟҡңҥҧҩҫҭүұҳҵҷҹһҽҿӏӂӄӆӈӊӌӎӑӓӕӗәӛӝӟӡӣӥӧөӫӭӯӱӳӵӷӹӻӽӿաբգդեզէըթժիլխծկհձղճմյնշոչպջռսվտրցւփքօֆḁḃḅḇḉḋḍḏḑḓḕḗḙ'
         || 'ḛḝḟḡḣḥḧḩḫḭḯḱḳḵḷḹḻḽḿṁṃṅṇṉṋṍṏṑṓṕṗṙṛṝṟṡṣṥṧṩṫṭṯṱṳṵṷṹṻṽṿẁẃẅẇẉẋẍẏẑẓẕßạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứ'
         || 'ừửữựỳỵỷỹỻỽỿ'));
end $$;
comment on function worker.title_words(text) is
'The words of a title, lower case, a blank between them, without punctuation: the same in every locale.';

create or replace function worker.title_key(p_title text) returns text
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
declare
  v_words text := worker.title_words(p_title);
begin
  -- A title of nothing but punctuation stands for itself.
  return coalesce(nullif(replace(regexp_replace(v_words, '^(the|a|an) ', ''), ' ', ''), ''), md5(p_title));
end $$;
comment on function worker.title_key(text) is
'The title as the duplicate gate sees it: lower case, no article in front, no blanks and no punctuation.';

create or replace function worker.word_count(p_text text) returns integer
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
begin
  return (select count(*) from regexp_split_to_table(p_text, '\s+') w where w <> '')
    -- Thai, Lao, Burmese, Khmer, Japanese and Chinese are written without blanks: two characters to a word.
    + length(regexp_replace(p_text, '[^\u0e01-\u0edf\u1000-\u109f\u1780-\u17ff\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff'
                                    '\U00020000-\U0003ffff]', '', 'g')) / 2;
end $$;
comment on function worker.word_count(text) is
'How many words a text has, also in languages that are written without blanks between them; NULL for NULL.';
