//! Callbacks of the vendor's largest results.

use super::{run, task};

/// Speech recognition of `sentences` sentences of ten words each, about 1.2 KB a sentence.
pub(crate) fn speech(job: &str, sentences: usize) -> String {
    let result = self::sentences(sentences);
    task(job).replace("</JobsDetail>", &format!("<Operation>{result}</Operation></JobsDetail>"))
}

/// The result of such a job.
pub(crate) fn sentences(count: usize) -> String {
    let word = |at: usize| {
        format!(
            "<Words><Word>词{at}</Word><VoiceType>0</VoiceType><StartTime>{at}</StartTime><EndTime>{at}9</EndTime></Words>"
        )
    };
    let words: String = (0..10).map(word).collect();
    let sentence = |at: usize| {
        format!(
            "<ResultDetail><FinalSentence>第{at}句话</FinalSentence><SpeechSpeed>5.1</SpeechSpeed><WordsNum>10</WordsNum>{words}</ResultDetail>"
        )
    };
    let sentences: String = (0..count).map(sentence).collect();
    format!("<SpeechRecognitionResult><AudioTime>18000</AudioTime>{sentences}</SpeechRecognitionResult>")
}

/// Video moderation of `frames` frames, with what the vendor says of each: about 1.6 KB a frame.
pub(crate) fn moderation(job: &str, frames: usize) -> String {
    let scene = |name: &str| {
        format!(
            r#""{name}":{{"Code":0,"Msg":"OK","HitFlag":0,"Score":0,"Label":"","SubLabel":"","OcrResults":[{{"Text":"片头文字","Keywords":["关键词"]}}]}}"#
        )
    };
    let scenes = ["PornInfo", "TerrorismInfo", "PoliticsInfo", "AdsInfo"].map(scene).join(",");
    let url = format!("https://media-1300000001.ci.ap-chengdu.myqcloud.com/snapshot/{}", "f".repeat(300));
    let frame = |at: usize| {
        format!(r#"{{"SnapshotTime":{at}000,"Url":"{url}","Text":"","Label":"Normal",{scenes}}}"#)
    };
    let frames: Vec<_> = (1..=frames).map(frame).collect();
    format!(
        r#"{{"EventName":"ReviewVideo","JobsDetail":{{"JobId":"{job}","State":"Success","Result":0,"Label":"Normal","BucketId":"media-1300000001","Object":"in/{job}.mp4","SnapshotCount":"3600","Snapshot":[{}]}}}}"#,
        frames.join(",")
    )
}

/// What a subscriber without limits would get: the message as it is rendered.
pub(crate) fn rendered(body: &str) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[ingress]\ndeadline = \"15s\"\n").unwrap();
    let output = run(&["render", "-c", file.path().to_str().unwrap()], body.as_bytes());
    let line = String::from_utf8(output.stdout).unwrap();
    let (_, data) = line
        .split_once("},\"data\":")
        .unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    data.strip_suffix("}\n").unwrap().as_bytes().to_vec()
}
