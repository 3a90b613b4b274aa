"""Pinyin of single characters from ``pypinyin``'s tables: the ``Pronouncer`` that the core is given.

The gateway imports this file, so it must stay light: the phrase dictionary (160 ms to load) stays
out, since all living readings of a character are wanted and never a guess among them.
"""

import os
from functools import lru_cache

os.environ.setdefault("PYPINYIN_NO_PHRASES", "true")  # read once, when pypinyin is imported

from pypinyin import Style, pinyin

from ..core.pronunciation import Sounds, toneless

# pypinyin lists every reading that a dictionary of classics knows (台 yi2, 齐 ji4, 大 tai4). Taken at
# face value they make unlike words homophones: a list of 600 names damaged 963 places in 3 593 right
# sentences (AISHELL-1, 2026-11). So a character has the sound of its first entry, in all tones, and
# only these, which live with several sounds in modern speech and names, have more.
_TABLE = """
    阿a,e 艾ai,yi 扒ba,pa 薄bao,bo 暴bao,pu 曝bao,pu 刨pao,bao 辟bi,pi 便bian,pian 屏ping,bing 泊bo,po
    柏bai,bo 卜bu,bo 参can,shen,cen 藏cang,zang 曾ceng,zeng 差cha,chai,ci 查cha,zha 刹cha,sha 禅chan,shan
    长chang,zhang 朝chao,zhao 称cheng,chen 乘cheng,sheng 盛sheng,cheng 匙chi,shi 重zhong,chong 臭chou,xiu
    畜chu,xu 传chuan,zhuan 伺ci,si 攒zan,cuan 大da,dai 单dan,shan 弹dan,tan 得de,dei 的de,di 地di,de
    调diao,tiao 都dou,du 读du,dou 度du,duo 恶e,wu 佛fo,fu 否fou,pi 扛kang,gang 给gei,ji 颈jing,geng
    蛤ha,ge 还hai,huan 行xing,hang 吭keng,hang 巷xiang,hang 和he,huo 会hui,kuai 奇qi,ji 系xi,ji 藉ji,jie
    贾jia,gu 茄qie,jia 降jiang,xiang 强qiang,jiang 嚼jiao,jue 角jiao,jue 觉jue,jiao 校xiao,jiao 解jie,xie
    劲jin,jing 车che,ju 咀ju,zui 圈quan,juan 卡ka,qia 咳ke,hai 壳ke,qiao 槛kan,jian 乐le,yue 勒le,lei
    肋lei,le 了le,liao 俩lia,liang 靓liang,jing 露lu,lou 六liu,lu 陆lu,liu 绿lv,lu 率lv,shuai 落luo,la,lao
    埋mai,man 脉mai,mo 蔓man,wan 没mei,mo 模mo,mu 秘mi,bi 缪miao,mou,miu 抹mo,ma 娜na,nuo 那na,nei
    哪na,nei 呢ne,ni 溺ni,niao 粘zhan,nian 区qu,ou 磅bang,pang 迫po,pai 朴pu,piao 瀑pu,bao 栖qi,xi
    茜qian,xi 纤qian,xian 亲qin,qing 仇chou,qiu 塞sai,se 莎sha,suo 厦sha,xia 栅zha,shan 折zhe,she 蛇she,yi
    什shen,shi 谁shei,shui 省sheng,xing 石shi,dan 拾shi,she 似si,shi 熟shu,shou 属shu,zhu 说shuo,shui
    宿su,xiu 沓ta,da 拓tuo,ta 提ti,di 莞guan,wan 尉wei,yu 吓xia,he 削xue,xiao 血xue,xie 殷yin,yan 吁xu,yu
    扎zha,za 轧ya,zha 择ze,zhai 翟zhai,di 着zhe,zhao,zhuo 这zhe,zhei 著zhu,zhuo 仔zi,zai 琢zhuo,zuo
    澄cheng,deng 尿niao,sui 括kuo,gua 爪zhua,zhao 剥bo,bao 伯bo,bai 核he,hu 虹hong,jiang 嗯en,ng 祭ji,zhai
    隗wei,kui 覃qin,tan 盖gai,ge 洗xi,xian 谷gu,yu 辗zhan 潦liao 啜chuo 龈yin 裳chang,shang 诘jie 驮tuo,duo
    捋lv,luo 掴guo,guai 鹄hu 铛cheng,dang 崴wei,wai 漯luo,ta 蹊xi,qi 呱gua,gu
"""
_POLYPHONES = {entry[0]: frozenset(entry[1:].split(",")) for entry in _TABLE.split()}


class Pypinyin:
    """Thread-safe; every character is looked up once per process."""

    def syllables(self, text: str) -> tuple[Sounds, ...]:
        return tuple(map(_readings, text))


@lru_cache(maxsize=32_768)
def _readings(character: str) -> Sounds:
    found = pinyin(character, Style.TONE3, heteronym=True, errors="ignore", neutral_tone_with_five=True)
    if not found:
        return ()
    living = _POLYPHONES.get(character) or {toneless(found[0][0])}
    return tuple(reading for reading in found[0] if toneless(reading) in living)
