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
    BoardReadOnly, "现在不能在板书上书写。", "You may not write on the board now.";
    BoardNotYours, "只能修改自己写的内容。", "You may change only what you wrote yourself.";
    BoardMalformed, "这次书写无法识别,没有保存。", "What was written could not be read and was not kept.";
    BoardTooLarge, "这次书写的内容太多,没有保存。", "Too much was written at once; it was not kept.";
    BoardTooFast, "书写得太快,请稍慢一些。", "Writing came faster than allowed; please slow down a little.";
    BoardFull, "板书已满,请先擦除或结束后重新开课。", "The board is full; nothing more fits on it.";
    NotNow, "现在没有正在进行的这项活动。", "Nothing of the kind is going on now.";
    AlreadyOpen, "已经有一个正在进行,请先结束它。", "One is already open; close it first.";
    AlreadyAnswered, "已经回答过了。", "This has been answered already.";
    TooLate, "时间已过,没有计入。", "It came too late and was not counted.";
    NotAnAnswer, "这不是这道题的答案。", "This is no answer to that question.";
    BadQuiz, "题目不完整或超出限制,请检查题干、选项和答案。", "The questions are incomplete or too many; check prompts, choices and answers.";
    Empty, "请输入内容。", "There is nothing in it.";
    TooLong, "内容太长。", "The text is too long.";
    TooMany, "数量太多。", "There are too many of them.";
    OutOfRange, "数值超出范围。", "The number is outside what is allowed.";
    TooFast, "操作太快,请稍等一下。", "That was too fast; please wait a moment.";
    ChatOff, "老师现在没有开放这种聊天。", "The teacher has not opened this chat.";
    Silenced, "您已被禁言。", "You have been silenced.";
    NobodyToPick, "现在没有可以抽选的人。", "There is nobody to pick from now.";
    NoSuchThing, "要操作的内容已经不在了。", "What this is about is no longer there.";
    TwoGroups, "同一个人不能分在两个组。", "A member can't be in two groups.";
    Removed, "您已被请出这节课,老师同意后才能再次进入。", "You were taken out of this lesson; its teacher can let you in again.";
    Locked, "这节课已锁定,现在不能再有新的人进入。", "The lesson is locked; nobody new can come in now.";
    LessonFull, "这节课的人数已满。", "The lesson is full.";
    /// The edge can't reach the campus, and what was asked needs it.
    CampusAway, "与总部校区的连接断开,请稍后再试。", "The campus can't be reached; please try again shortly.";
    /// The log could not be written.
    Storage, "服务器无法保存,请联系运维。", "The server can't store this; please tell the operator.";
    /// The lesson's origin is of an earlier release than whoever asks. Also how a refusal of a later
    /// release than the reader's is read.
    #[serde(other)]
    NotSupported, "节点之间的软件版本不同,这项操作还不受支持。", "The nodes run different releases, and one of them does not know this.";
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
