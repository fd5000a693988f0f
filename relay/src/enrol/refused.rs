//! Why an application was not granted, in one sentence for whoever stands at the machine.

use cloudschool_protocol::refusal::Lang;
use serde::{Deserialize, Serialize};

macro_rules! refused {
    ($($(#[$doc:meta])* $name:ident, $zh:literal, $en:literal;)*) => {
        /// Why no certificate was issued.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
        #[serde(rename_all = "kebab-case")]
        pub enum Refused {
            $($(#[$doc])* #[error($en)] $name,)*
        }

        impl Refused {
            /// Every reason there is.
            pub const ALL: &'static [Refused] = &[$(Refused::$name,)*];

            /// The sentence shown to a person.
            #[must_use]
            pub fn sentence(self, lang: Lang) -> &'static str {
                match (self, lang) {
                    $((Refused::$name, Lang::Zh) => $zh, (Refused::$name, Lang::En) => $en,)*
                }
            }
        }
    };
}

refused! {
    /// There is no such code, or it is another: nobody learns which.
    WrongCode, "注册码不对,请核对后重新输入。", "The code is not right: compare it and type it again.";
    Expired, "注册码已过期,请向总部校区要一个新的。", "The code has expired: ask the campus for a new one.";
    /// By a machine with another key.
    Used, "注册码已经用过,请向总部校区要一个新的。", "The code has been used: ask the campus for a new one.";
    Void, "注册码输错次数太多,已作废,请向总部校区要一个新的。", "The code was entered wrongly too often and is void: ask the campus for a new one.";
    TooOften, "从这个网络地址输错注册码的次数太多,请过十分钟再试。", "Too many wrong codes came from this network address: try again in ten minutes.";
    NotHere, "这个节点不签发证书,请核对总部校区的地址。", "This node issues no certificates: check the address of the campus.";
    Malformed, "申请的格式不对,请把两边的程序更新到同一版本。", "The application can't be read: bring both ends to the same release.";
    Unable, "总部校区暂时无法签发证书,请联系那里的运维。", "The campus can't issue a certificate just now: tell its operator.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_sentence_in_both_languages() {
        for r in Refused::ALL {
            assert!(r.sentence(Lang::Zh).ends_with('。'), "{r:?}");
            assert!(r.sentence(Lang::En).ends_with('.'), "{r:?}");
        }
    }
}
