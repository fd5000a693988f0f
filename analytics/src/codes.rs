//! Behaviour codes: those this program produces, as a type, and what the profile file says
//! about them, as data: names, xAPI verbs and the column of official codes.
//!
//! The file in `profile/` is built in; `--profile FILE` puts another in its place, so that
//! who holds the official tables fills in a column and rebuilds nothing.

use crate::record::{Behaviour, PROFILE, Record};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// The profile file built in.
pub const BUILT_IN: &str = include_str!("../profile/cn.cloudschool.behavior-1.toml");

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident)*) => {
        /// A behaviour this program writes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => stringify!($name),)* }
            }
        }
    };
}

codes! {
    /// 开课
    L01
    /// 下课
    L02
    /// 进入
    L03
    /// 离开
    L04
    /// 点名
    L05
    /// 签到
    L06
    /// 讲授
    T01
    /// 提问
    T02
    /// 点名提问/抽选
    T03
    /// 发起抢答
    T04
    /// 随堂测验
    T05
    /// 投票
    T06
    /// 分组讨论
    T07
    /// 板书
    T08
    /// 共享屏幕
    T09
    /// 使用资源
    T10
    /// 评价
    T11
    /// 授权发言
    T12
    /// 举手
    S01
    /// 放下
    S02
    /// 抢答
    S03
    /// 应答
    S04
    /// 主动发言
    S05
    /// 答题
    S06
    /// 参与投票
    S07
    /// 消息
    S08
    /// 反馈
    S09
    /// 小组展示
    S10
    /// 镜头开关
    S11
    /// 离席
    S12
}

impl Code {
    /// Whether a record of this code says what it is directed at.
    #[must_use]
    pub fn needs_object(self) -> bool {
        matches!(
            self,
            Code::T02
                | Code::T03
                | Code::T04
                | Code::T05
                | Code::T06
                | Code::T07
                | Code::T08
                | Code::T09
                | Code::T10
                | Code::T11
                | Code::T12
                | Code::S03
                | Code::S06
                | Code::S07
                | Code::S10
        )
    }

    /// Whether someone speaks.
    #[must_use]
    pub fn is_speech(self) -> bool {
        matches!(self, Code::T01 | Code::S04 | Code::S05)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a profile file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    #[error("the profile {} can't be read: {source}", file.display())]
    Read { file: PathBuf, source: std::io::Error },
    #[error("the profile is not what it must be: {0}")]
    Syntax(#[from] toml::de::Error),
    #[error("the profile's id is {0:?}; this program writes {PROFILE:?}")]
    Id(String),
    #[error("the profile lacks code {0}, with its xAPI verb and activity")]
    Lacks(Code),
    #[error("the profile has code {0} twice")]
    Twice(String),
    #[error("the profile maps school {school:?} to {to:?}, which is not 10 digits")]
    School { school: String, to: String },
    #[error("the official code {0:?} must be at most 32 characters, without spaces at its ends")]
    Official(String),
}

/// xAPI's words for a code.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct XapiWords {
    /// Verb, or the verb it begins with.
    pub begin: String,
    /// Verb an interval ends with.
    pub end: Option<String>,
    /// Type of the object's activity.
    #[serde(default)]
    pub activity: String,
    pub emoji: Option<String>,
}

/// A line of the code table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeLine {
    pub code: String,
    /// The code of the official table, empty until known.
    pub official: String,
    pub zh: String,
    pub en: String,
    /// Whether this version writes it. For readers of the file.
    #[allow(dead_code)]
    produced: bool,
    #[allow(dead_code)]
    caliper: String,
    pub xapi: Option<XapiWords>,
}

/// A line of the table of items. Read so that a misspelt key in it is found; for people.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct ItemLine {
    no: String,
    name: String,
    zh: String,
    r#type: String,
    length: String,
    constraint: String,
    values: String,
    note: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    id: String,
    schools: BTreeMap<String, String>,
    #[allow(dead_code)]
    item: Vec<ItemLine>,
    code: Vec<CodeLine>,
}

/// What exports need to know of the codes.
#[derive(Debug, Clone)]
pub struct Profile {
    codes: BTreeMap<String, CodeLine>,
    schools: BTreeMap<String, String>,
}

impl Profile {
    /// Reads `file`, or the one built in.
    ///
    /// # Errors
    /// [`ProfileError`] that names what is wrong in it.
    pub fn load(file: Option<&Path>) -> Result<Self, ProfileError> {
        match file {
            None => Self::parse(BUILT_IN),
            Some(file) => {
                let text = std::fs::read_to_string(file)
                    .map_err(|source| ProfileError::Read { file: file.into(), source })?;
                Self::parse(&text)
            }
        }
    }

    /// Reads a profile file's text.
    ///
    /// # Errors
    /// As [`Profile::load`].
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        let file: File = toml::from_str(text)?;
        if file.id != PROFILE {
            return Err(ProfileError::Id(file.id));
        }
        for (school, to) in &file.schools {
            if to.len() != 10 || !to.bytes().all(|b| b.is_ascii_digit()) {
                return Err(ProfileError::School { school: school.clone(), to: to.clone() });
            }
        }
        let mut codes = BTreeMap::new();
        for line in file.code {
            if line.official.chars().count() > 32 || line.official.trim() != line.official {
                return Err(ProfileError::Official(line.official));
            }
            if let Some(before) = codes.insert(line.code.clone(), line) {
                return Err(ProfileError::Twice(before.code));
            }
        }
        for &code in Code::ALL {
            let line = codes.get(code.as_str()).and_then(|l: &CodeLine| l.xapi.as_ref());
            if line.is_none_or(|x| x.begin.is_empty() || x.activity.is_empty()) {
                return Err(ProfileError::Lacks(code));
            }
        }
        Ok(Self { codes, schools: file.schools })
    }

    /// The line of `code` and xAPI's words for it.
    #[must_use]
    pub fn line(&self, code: Code) -> Option<(&CodeLine, &XapiWords)> {
        let line = self.codes.get(code.as_str())?;
        Some((line, line.xapi.as_ref()?))
    }

    /// The official code, where the file has one.
    #[must_use]
    pub fn official(&self, code: Code) -> Option<&str> {
        let line = self.codes.get(code.as_str())?;
        Some(line.official.as_str()).filter(|o| !o.is_empty())
    }

    /// The school identifier where the file has one, else the platform's own id.
    #[must_use]
    pub fn school<'a>(&'a self, school: &'a str) -> &'a str {
        self.schools.get(school).map_or(school, String::as_str)
    }

    /// `record` as it is handed out.
    #[must_use]
    pub fn exported(&self, record: Record) -> Exported {
        let school_id = self.school(&record.behaviour.school_id).to_owned();
        let official_code = self.official(record.behaviour.code).map(str::to_owned);
        let behaviour = Behaviour { school_id, ..record.behaviour };
        Exported { record: Record { behaviour, ..record }, official_code }
    }
}

/// A record as it is handed out: with what the profile file knows beyond it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Exported {
    #[serde(flatten)]
    pub record: Record,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub official_code: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::example;

    #[test]
    fn the_file_built_in_has_every_code_and_leaves_the_official_column_empty() {
        let profile = Profile::load(None).unwrap();
        assert_eq!(profile.codes.len(), 35);
        for &code in Code::ALL {
            assert_eq!(profile.official(code), None);
            assert!(profile.codes[code.as_str()].produced, "{code}");
        }
        let produced = profile.codes.values().filter(|l| l.produced).count();
        // The lesson's metrics are a document, no record.
        assert!(profile.codes["M01"].produced);
        assert_eq!(produced, Code::ALL.len() + 1);
    }

    #[test]
    fn a_filled_in_file_adds_official_codes_and_school_identifiers() {
        let text = BUILT_IN
            .replace("code = \"S01\"\nofficial = \"\"", "code = \"S01\"\nofficial = \"0201\"")
            .replace("[schools]\n", "[schools]\n\"school-01\" = \"2144000001\"\n");
        let profile = Profile::parse(&text).unwrap();
        let record = Record { behaviour: example::hand(), seq: 1 };
        let json = serde_json::to_value(profile.exported(record.clone())).unwrap();
        assert_eq!(json["code"], "S01");
        assert_eq!(json["officialCode"], "0201");
        assert_eq!(json["schoolId"], "2144000001");
        let plain = Profile::load(None).unwrap();
        let json = serde_json::to_value(plain.exported(record)).unwrap();
        assert_eq!(json["schoolId"], "school-01");
        assert!(json.get("officialCode").is_none());
    }

    #[test]
    fn a_file_that_would_lose_data_is_refused() {
        let school = BUILT_IN.replace("[schools]\n", "[schools]\n\"s\" = \"12\"\n");
        assert!(matches!(Profile::parse(&school), Err(ProfileError::School { .. })));
        let lacking = BUILT_IN.replace("code = \"T12\"", "code = \"T99\"");
        assert!(matches!(Profile::parse(&lacking), Err(ProfileError::Lacks(Code::T12))));
        let other = BUILT_IN.replace("behavior/1\"", "behavior/2\"");
        assert!(matches!(Profile::parse(&other), Err(ProfileError::Id(_))));
        let twice = BUILT_IN.replace("code = \"S12\"", "code = \"S01\"");
        assert!(matches!(Profile::parse(&twice), Err(ProfileError::Twice(_))));
        let misspelt = BUILT_IN.replacen("official =", "oficial =", 1);
        assert!(matches!(Profile::parse(&misspelt), Err(ProfileError::Syntax(_))));
    }
}
