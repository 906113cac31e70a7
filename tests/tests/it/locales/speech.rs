//! What the world writes: sentences and titles of several languages and scripts.

use serde_json::Value;

pub struct Language {
    pub name: &'static str,
    /// Two titles that have nothing in common.
    pub titles: [&'static str; 2],
    /// The first title as somebody else would write it.
    pub again: &'static str,
    pub sentences: &'static [&'static str],
}

pub const LANGUAGES: &[Language] = &[
    Language {
        name: "Japanese",
        titles: ["水車小屋の幽霊", "塩商人と七つの鍵"],
        again: "「水車小屋の幽霊」",
        sentences: &[
            "村の外れにある古い水車小屋では毎晩だれかが小麦粉を盗んでいくので粉屋の娘が見張りを頼んでいる。",
            "川沿いの道には新しい足跡が残っていて灯りを持った男が三人北へ向かったと漁師は話している。",
            "領主の書記は封印された手紙を失くしてしまい満月の夜までに見つけなければならないと震えている。",
            "廃墟となった礼拝堂の鐘は誰も鳴らしていないのに真夜中になると七回だけ低く響くという。",
        ],
    },
    Language {
        name: "Russian",
        titles: ["Призрак старой мельницы", "Семь ключей солевара"],
        again: "ПРИЗРАК СТАРОЙ МЕЛЬНИЦЫ",
        sentences: &[
            "У старой мельницы на краю деревни каждую ночь пропадает мука, и дочь мельника просит о помощи.",
            "Рыбаки говорят, что по дороге вдоль реки ушли на север трое мужчин с фонарём и тяжёлым сундуком.",
            "Писарь потерял запечатанное письмо и должен найти его до полнолуния, иначе лишится головы.",
            "Колокол разрушенной часовни звонит ровно семь раз, хотя к верёвке давно никто не прикасался.",
        ],
    },
    Language {
        name: "Arabic",
        titles: ["شبح الطاحونة القديمة", "مفاتيح تاجر الملح السبعة"],
        again: "«شبح الطاحونة القديمة»",
        sentences: &[
            "في الطاحونة القديمة عند طرف القرية يختفي الدقيق كل ليلة وتطلب ابنة الطحان من يحرسها حتى الفجر.",
            "يقول الصيادون إن ثلاثة رجال يحملون فانوسا وصندوقا ثقيلا ساروا شمالا على الطريق المحاذي للنهر.",
            "أضاع الكاتب رسالة مختومة وعليه أن يجدها قبل اكتمال القمر وإلا فقد منصبه ورأسه معا.",
            "يدق جرس المعبد المهدم سبع مرات عند منتصف الليل مع أن أحدا لم يلمس حبله منذ سنين.",
        ],
    },
    Language {
        name: "emoji",
        titles: ["🐉🔥🏰👑", "🧂🗝️🌊⛵"],
        again: "🐉🔥🏰👑",
        sentences: &[
            "🌾 The mill 🏚️ at the end of the village 🏘️ loses its flour every night 🌙 and the girl asks for a guard 🛡️.",
            "👣 Three men with a lantern 🏮 went north along the river 🌊, say the fishermen 🎣, carrying a heavy chest 🧰.",
            "✉️ The clerk has lost a sealed letter and must find it before the moon is full 🌕, or lose his head 👑.",
            "🔔 The bell of the ruined chapel ⛪ rings seven times at midnight, though nobody 🤷🏽 has touched the rope.",
        ],
    },
];

/// Replaces the free texts of an item: those that its schema neither lists nor gives a pattern.
pub fn spoken(item: &mut Value, schema: &Value, language: &Language, number: &mut usize) {
    match item {
        Value::String(text)
            if schema["enum"].is_null() && schema["const"].is_null() && schema["pattern"].is_null() =>
        {
            let (shortest, longest) = (length(schema, "minLength", 1), length(schema, "maxLength", 200));
            // A short text is a name of something, or says how many dice are thrown: the number and a word do.
            if longest > 10 {
                *text = sentence(language, *number, shortest, longest);
                *number += 1;
            }
        }
        Value::Array(items) => {
            for item in items {
                spoken(item, &schema["items"], language, number);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                spoken(field, &schema["properties"][name], language, number);
            }
        }
        _ => {}
    }
}

fn length(schema: &Value, name: &str, default: usize) -> usize {
    schema[name].as_u64().map_or(default, |length| length as usize)
}

/// A text of so many characters, another one for each number.
fn sentence(language: &Language, number: usize, shortest: usize, longest: usize) -> String {
    let mut text = String::new();
    let mut next = number;
    while text.is_empty() || text.chars().count() < shortest {
        text.push_str(language.sentences[next % language.sentences.len()]);
        next += 1;
    }
    let room = longest.saturating_sub(number.to_string().len() + 1);
    let text: String = text.chars().take(room).collect();
    format!("{number} {}", text.trim())
}
