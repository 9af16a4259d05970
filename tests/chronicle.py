"""A long document of our own: the invented chronicle of a small town, with facts planted where a test wants them."""

from __future__ import annotations

import random
from typing import Final

_SURNAMES: Final = "沈陆顾钱施秦许何吕张孔曹严华金魏陶姜谢邹柏窦章苏潘葛范彭鲁韦"
_GIVEN: Final = (
    "文达",
    "守仁",
    "秋水",
    "若兰",
    "伯庸",
    "月娥",
    "长庚",
    "子衡",
    "阿福",
    "静之",
    "云轩",
    "桂芳",
    "季明",
    "素心",
)
_PLACES: Final = ("东栅", "西码头", "盐仓弄", "竹行街", "后塘", "南货店前", "米市", "石灰桥堍", "官井旁", "油车场")
_TRADES: Final = ("箍桶", "裱画", "酿醋", "修伞", "打铁", "磨豆腐", "织草席", "刻图章", "熬糖", "扎灯笼")
_WEATHER: Final = ("连下了九天雨", "河面结了薄冰", "刮了一夜大风", "旱得井底见泥", "雾到中午才散", "暑气迟迟不退")
_EVENTS: Final = (
    "{place}的{name}家修了屋顶，用去瓦片{n}块，请来的师傅姓{surname}，工钱按天算，中午管一顿饭。",
    "{name}在{place}开了一间{trade}的铺子，头一个月只做成{n}笔生意，到年底才还清借来的本钱。",
    "镇上{weather}，渡口停了{n}天，{name}把留在{place}的客人都请到自己家里过夜。",
    "{name}与{surname}家为一堵墙争了{n}年，最后由{place}的老人说和，墙归两家共有。",
    "学堂添了{n}张桌子，{name}捐了其中一半，条件是他的两个侄儿免交学费。",
    "{place}的水井淘出一只旧罐，里面有铜钱{n}枚，{name}主张拿去修路，众人都同意。",
    "{name}学了{n}年{trade}，出师那天在{place}摆了两桌酒，师傅送他一套工具。",
    "{weather}，{place}的菜价涨了，{name}从外乡运来{n}担萝卜，按平时的价钱卖。",
)


def chronicle(paragraphs: int, planted: dict[int, str], seed: int = 7) -> str:
    """Return a chronicle, one paragraph a year.

    Args:
        paragraphs: How many; about 150 Qwen tokens each.
        planted: Sentences to add at the end of paragraphs, by their number from 0.
        seed: Another seed, another chronicle.
    """
    dice = random.Random(seed)
    text = []
    for number in range(paragraphs):
        events = [_event(dice, template) for template in dice.sample(_EVENTS, 3)]
        text.append(f"第{number + 1}年：" + "".join(events) + planted.get(number, ""))
    return "\n\n".join(text) + "\n"


def _event(dice: random.Random, template: str) -> str:
    return template.format(
        place=dice.choice(_PLACES),
        name=dice.choice(_SURNAMES) + dice.choice(_GIVEN),
        surname=dice.choice(_SURNAMES),
        trade=dice.choice(_TRADES),
        weather=dice.choice(_WEATHER),
        n=dice.randint(2, 400),
    )
