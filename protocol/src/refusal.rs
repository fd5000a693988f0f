//! Refusals: why something asked of a lesson was not done, as a code for programs and one
//! sentence for people, in their language.

use serde::{Deserialize, Serialize};

/// A language of the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Lang {
    #[default]
    #[serde(rename = "zh-CN")]
    Zh,
    #[serde(rename = "en")]
    En,
}

impl Lang {
    /// Picks from an `Accept-Language` header or a language tag: English where it comes
    /// first, else Chinese.
    #[must_use]
    pub fn from_tag(tag: &str) -> Self {
        if tag.trim_start().to_ascii_lowercase().starts_with("en") { Lang::En } else { Lang::Zh }
    }
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident, $zh:literal, $en:literal;)*) => {
        /// Why a command was refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
        #[serde(rename_all = "kebab-case")]
        pub enum Refusal {
            $($(#[$doc])* #[error($en)] $name,)*
        }

        impl Refusal {
            /// Every refusal there is.
            pub const ALL: &'static [Refusal] = &[$(Refusal::$name,)*];

            /// The sentence shown to a person.
            #[must_use]
            pub fn sentence(self, lang: Lang) -> &'static str {
                match (self, lang) {
                    $((Refusal::$name, Lang::Zh) => $zh, (Refusal::$name, Lang::En) => $en,)*
                }
            }
        }
    };
}

refusals! {
    NoSuchLesson, "没有这节课。", "There is no such lesson.";
    NotInvited, "这所学校没有被邀请上这节课。", "This school is not invited to this lesson.";
    NotOpen, "这节课还没有开放进入。", "The lesson is not open yet.";
    NotLive, "课还没有开始。", "The lesson has not started.";
    AlreadyLive, "课已经开始了。", "The lesson has already started.";
    Ended, "这节课已经结束。", "The lesson has ended.";
    NotAMember, "您还没有进入这节课。", "You have not joined this lesson.";
    NoSuchMember, "这节课里没有这个人。", "There is no such member in this lesson.";
    NotAllowed, "您的角色不能这样做。", "Your role does not allow this.";
    HandAlreadyUp, "已经举手了。", "The hand is already raised.";
    HandNotUp, "没有举手。", "The hand is not raised.";
    AlreadyOnStage, "已经在台上了。", "The member is already on stage.";
    NotOnStage, "不在台上。", "The member is not on stage.";
    AlreadyMuted, "麦克风已经是这个状态。", "The microphone is already in that state.";
    NoSuchTrack, "没有这路音视频。", "There is no such track.";
    BadDeck, "课件的页数或文字超出了限制。", "The deck has too many pages, or texts that are too long.";
    NoSlides, "现在没有打开课件。", "No slides are open.";
    NoSuchPage, "课件里没有这一页。", "The slides have no such page.";
    LessonFull, "这节课的人数已满。", "The lesson is full.";
    /// The edge can't reach the campus, and what was asked needs it.
    CampusAway, "与总部校区的连接断开,请稍后再试。", "The campus can't be reached; please try again shortly.";
    /// The log could not be written.
    Storage, "服务器无法保存,请联系运维。", "The server can't store this; please tell the operator.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_a_sentence_in_both_languages() {
        for r in Refusal::ALL {
            assert!(r.sentence(Lang::Zh).ends_with('。'), "{r:?}");
            assert!(r.sentence(Lang::En).ends_with('.'), "{r:?}");
        }
    }
}
