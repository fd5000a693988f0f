//! A timetable as schools keep it: a table in CSV, as office programs save it, one lesson a row.
//! Pure: text in, lessons or the faults of each row out.

use cloudschool_protocol::id::{LessonId, SchoolId};
use cloudschool_protocol::lesson::LessonInfo;
use std::collections::BTreeMap;
use std::str::FromStr;
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};

/// Most rows of one sheet.
pub const MAX_ROWS: usize = 5000;

/// Most faults named in one answer; the rest are counted.
const MAX_FAULTS: usize = 100;

/// The columns, by any of their names, and whether each is needed.
const COLUMNS: [(Column, &[&str], bool); 9] = [
    (Column::Id, &["id", "lesson", "课号", "课程编号"], true),
    (Column::Title, &["title", "课名", "课题"], true),
    (Column::Teacher, &["teacher", "教师", "主讲", "主讲教师"], true),
    (Column::Start, &["start", "开始", "开始时间", "上课时间"], true),
    (Column::Minutes, &["minutes", "时长", "分钟"], false),
    (Column::Campus, &["campus", "校区", "本部"], false),
    (Column::Schools, &["schools", "学校", "入驻学校"], false),
    (Column::Subject, &["subject", "学科", "科目"], false),
    (Column::Grade, &["grade", "年级"], false),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Column {
    Id,
    Title,
    Teacher,
    Start,
    Minutes,
    Campus,
    Schools,
    Subject,
    Grade,
}

/// The zone that times without one are in, as `+08:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone(UtcOffset);

impl Default for Zone {
    /// That of China.
    fn default() -> Self {
        Self(UtcOffset::from_hms(8, 0, 0).unwrap_or(UtcOffset::UTC))
    }
}

impl FromStr for Zone {
    type Err = SheetError;
    fn from_str(text: &str) -> Result<Self, SheetError> {
        let format = format_description!("[offset_hour sign:mandatory]:[offset_minute]");
        UtcOffset::parse(text, format).map(Self).map_err(|_| SheetError::Zone)
    }
}

/// What keeps a sheet from being read at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SheetError {
    #[error("the zone must be written as +08:00")]
    Zone,
    #[error("the table is not in UTF-8: save it as \"CSV UTF-8\"")]
    NotUtf8,
    #[error("the table has no column {en:?}")]
    ColumnMissing { zh: &'static str, en: &'static str },
    #[error("the table has more than {MAX_ROWS} lessons")]
    TooManyRows,
}

impl SheetError {
    /// The sentence in Chinese.
    #[must_use]
    pub fn zh(&self) -> String {
        match self {
            Self::Zone => "时区要写成 +08:00 的样子。".into(),
            Self::NotUtf8 => "表格不是 UTF-8 编码:请另存为“CSV UTF-8”。".into(),
            Self::ColumnMissing { zh, .. } => format!("表格缺少“{zh}”这一列。"),
            Self::TooManyRows => format!("一张表最多 {MAX_ROWS} 节课。"),
        }
    }
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// Line in the file, the header's being 1.
    pub line: u64,
    pub zh: String,
    pub en: String,
}

/// What a sheet says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sheet {
    /// The lessons of the rows that are good, with their lines.
    pub lessons: Vec<(u64, LessonInfo)>,
    /// The first faults.
    pub faults: Vec<BadRow>,
    /// How many rows have one.
    pub faulty: usize,
}

impl Sheet {
    pub(crate) fn fault(&mut self, line: u64, (zh, en): (String, String)) {
        self.faulty += 1;
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(BadRow { line, zh, en });
        }
    }
}

/// Reads a table. `here` is the campus where a row names none; `check` judges a lesson that reads
/// well, as it judges one from elsewhere.
///
/// # Errors
/// [`SheetError`] when it is no table of lessons.
pub fn read(
    bytes: &[u8],
    zone: Zone,
    here: &SchoolId,
    check: impl Fn(&LessonInfo) -> Result<(), (String, String)>,
) -> Result<Sheet, SheetError> {
    let text = std::str::from_utf8(bytes).map_err(|_| SheetError::NotUtf8)?;
    // Where lines end in two characters, the reader counts them one late.
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    // What an office program in a country with decimal commas writes, and what is pasted from one.
    let first = text.lines().next().unwrap_or_default();
    let delimiter = *[b',', b';', b'\t']
        .iter()
        .max_by_key(|d| first.bytes().filter(|b| b == *d).count())
        .unwrap_or(&b',');
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let columns = columns(reader.headers().map_err(|_| SheetError::NotUtf8)?)?;
    let mut sheet = Sheet::default();
    let mut lines: BTreeMap<LessonId, u64> = BTreeMap::new();
    for (row, record) in reader.records().enumerate() {
        if row >= MAX_ROWS {
            return Err(SheetError::TooManyRows);
        }
        let record = record.map_err(|_| SheetError::NotUtf8)?;
        let line = record.position().map_or(0, csv::Position::line);
        if record.iter().all(str::is_empty) {
            continue;
        }
        let cell = |column| columns.get(&column).and_then(|at| record.get(*at)).unwrap_or_default();
        let lesson = lesson(cell, zone, here).and_then(|info| check(&info).map(|()| info));
        match lesson {
            Err(fault) => sheet.fault(line, fault),
            Ok(info) => match lines.insert(info.id.clone(), line) {
                None => sheet.lessons.push((line, info)),
                Some(before) => sheet.fault(
                    line,
                    (
                        format!("课号 {} 在第 {before} 行已经有了。", info.id),
                        format!("Lesson {} is in line {before} already.", info.id),
                    ),
                ),
            },
        }
    }
    Ok(sheet)
}

fn columns(header: &csv::StringRecord) -> Result<BTreeMap<Column, usize>, SheetError> {
    let mut found = BTreeMap::new();
    for (column, names, needed) in COLUMNS {
        let at = header.iter().position(|h| names.contains(&h.to_lowercase().as_str()));
        match at {
            Some(at) => drop(found.insert(column, at)),
            None if needed => {
                let name = |ascii: bool| names.iter().find(|name| name.is_ascii() == ascii);
                let name = |ascii| name(ascii).copied().unwrap_or_default();
                return Err(SheetError::ColumnMissing { zh: name(false), en: name(true) });
            }
            None => {}
        }
    }
    Ok(found)
}

fn lesson<'a>(
    cell: impl Fn(Column) -> &'a str,
    zone: Zone,
    here: &SchoolId,
) -> Result<LessonInfo, (String, String)> {
    let id = cell(Column::Id);
    let id = LessonId::new(id).map_err(|_| {
        (
            format!("课号“{id}”只能用字母、数字和 . _ -,最多 64 个字符。"),
            format!("The id {id:?} may have letters, digits and . _ - only, at most 64."),
        )
    })?;
    let school = |name: &str| {
        SchoolId::new(name).map_err(|_| {
            (
                format!("学校代号“{name}”只能用字母、数字和 . _ -。"),
                format!("The school {name:?} may have letters, digits and . _ - only."),
            )
        })
    };
    let campus = match cell(Column::Campus) {
        "" => here.clone(),
        name => school(name)?,
    };
    let schools = cell(Column::Schools)
        .split([';', ';', '、', ' ', '|'])
        .filter(|name| !name.is_empty())
        .map(school)
        .collect::<Result<Vec<_>, _>>()?;
    let start = cell(Column::Start);
    let start_ms = moment(start, zone).ok_or_else(|| {
        (
            format!("看不懂时间“{start}”,请写成 2026-11-23 08:00。"),
            format!("The time {start:?} can't be read: write it as 2026-11-23 08:00."),
        )
    })?;
    let minutes = match cell(Column::Minutes) {
        "" => None,
        text => Some(text.parse().ok().filter(|m| (1..=1440).contains(m)).ok_or_else(|| {
            (
                format!("时长“{text}”要是 1 到 1440 的整数(分钟)。"),
                format!("The length {text:?} must be 1 to 1440 whole minutes."),
            )
        })?),
    };
    Ok(LessonInfo {
        id,
        title: cell(Column::Title).into(),
        subject: cell(Column::Subject).into(),
        grade: cell(Column::Grade).into(),
        teacher: cell(Column::Teacher).into(),
        campus,
        schools,
        school_names: BTreeMap::new(),
        planned_start_ms: Some(start_ms),
        planned_minutes: minutes,
        code: None,
    })
}

/// A moment as tables have it: `2026-11-23 08:00`, `2026/11/23 8:00`, or with a zone (RFC 3339).
fn moment(text: &str, zone: Zone) -> Option<u64> {
    const SHAPES: [&[BorrowedFormatItem<'_>]; 3] = [
        format_description!(
            "[year]-[month padding:none]-[day padding:none] [hour padding:none]:[minute]"
        ),
        format_description!(
            "[year]/[month padding:none]/[day padding:none] [hour padding:none]:[minute]"
        ),
        format_description!(
            "[year]-[month padding:none]-[day padding:none]T[hour padding:none]:[minute]"
        ),
    ];
    let at = OffsetDateTime::parse(text, &Rfc3339).ok().or_else(|| {
        // Tables often add seconds that nobody wrote.
        let text = match text.matches(':').count() {
            2 => text.strip_suffix(":00").unwrap_or(text),
            _ => text,
        };
        let local = SHAPES.iter().find_map(|shape| PrimitiveDateTime::parse(text, shape).ok())?;
        Some(local.assume_offset(zone.0))
    })?;
    u64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-23T00:00:00Z.
    const DAY: u64 = 1_795_392_000_000;

    fn here() -> SchoolId {
        SchoolId::new("campus").unwrap()
    }

    fn titled(info: &LessonInfo) -> Result<(), (String, String)> {
        if info.title.is_empty() {
            Err(("没有课名。".into(), "No title.".into()))
        } else {
            Ok(())
        }
    }

    fn table(text: &str) -> Sheet {
        read(text.as_bytes(), Zone::default(), &here(), titled).unwrap()
    }

    #[test]
    fn a_table_is_read_in_either_language_and_as_programs_save_it() {
        let zh = "\u{feff}课号,课名,教师,开始时间,时长,学校,学科,年级\r\n\
                  m-1,\"分数,百分数\",李老师,2026/11/23 8:00,40,school-01;school-02,数学,六年级\r\n\r\n";
        let en = "id;title;teacher;start;minutes;schools;subject;grade\n\
                  m-1;\"分数,百分数\";李老师;2026-11-23T00:00:00Z;40;school-01 school-02;数学;六年级\n";
        let of_zh = table(zh);
        assert_eq!(of_zh.faulty, 0, "{:?}", of_zh.faults);
        assert_eq!(of_zh.lessons.len(), 1);
        let (line, info) = &of_zh.lessons[0];
        assert_eq!((*line, info.title.as_str()), (2, "分数,百分数"));
        assert_eq!(info.planned_start_ms, Some(DAY));
        assert_eq!((info.schools.len(), info.planned_minutes), (2, Some(40)));
        assert_eq!(info.campus, here());
        assert_eq!(table(en).lessons, of_zh.lessons);
    }

    #[test]
    fn each_fault_is_named_with_its_line_and_the_good_rows_are_read() {
        let sheet = table(
            "id,title,teacher,start,minutes\n\
             a,分数,李,2026-11-23 08:00,40\n\
             b 1,分数,李,2026-11-23 08:00,40\n\
             c,,李,2026-11-23 08:00,40\n\
             d,分数,李,tomorrow,40\n\
             e,分数,李,2026-11-23 08:00:00,0\n\
             a,分数,李,2026-11-23 10:00,40\n",
        );
        assert_eq!(sheet.lessons.len(), 1);
        let lines: Vec<_> = sheet.faults.iter().map(|f| f.line).collect();
        assert_eq!(lines, [3, 4, 5, 6, 7]);
        assert!(sheet.faults[2].en.contains("tomorrow") && sheet.faults[4].en.contains("line 2"));
        assert!(sheet.faults.iter().all(|f| f.zh.ends_with('。') && f.en.ends_with('.')));
    }

    #[test]
    fn what_is_no_table_of_lessons_is_said() {
        let read = |bytes: &[u8]| read(bytes, Zone::default(), &here(), titled).unwrap_err();
        let missing = |zh, en| SheetError::ColumnMissing { zh, en };
        assert_eq!(read(b"id,title,teacher\n"), missing("开始", "start"));
        assert_eq!(read(b""), missing("课号", "id"));
        assert_eq!(read(&[0xbf, 0xce, 0xba, 0xc5]), SheetError::NotUtf8);
        let many = "id,title,teacher,start\n".to_owned() + &"x,y,z,u\n".repeat(MAX_ROWS + 1);
        assert_eq!(read(many.as_bytes()), SheetError::TooManyRows);
    }

    #[test]
    fn times_are_in_the_schools_zone_unless_they_say_theirs() {
        assert_eq!(moment("2026-11-23 08:00", Zone::default()), Some(DAY));
        assert_eq!(moment("2026-11-23 00:00", "+00:00".parse().unwrap()), Some(DAY));
        assert_eq!(moment("2026-11-23 05:30", "+05:30".parse().unwrap()), Some(DAY));
        assert_eq!(moment("2026-11-23T08:00:00+08:00", "+00:00".parse().unwrap()), Some(DAY));
        assert_eq!(moment("2026-13-23 08:00", Zone::default()), None);
        assert_eq!("Asia".parse::<Zone>(), Err(SheetError::Zone));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let _ = read(&bytes, Zone::default(), &here(), titled);
        }

        #[test]
        fn no_cells_make_it_panic(cells in "[a-z,;0-9:/ \"\n.-]{0,300}") {
            let text = format!("id,title,teacher,start,minutes\n{cells}");
            let _ = read(text.as_bytes(), Zone::default(), &here(), titled);
        }
    }
}
