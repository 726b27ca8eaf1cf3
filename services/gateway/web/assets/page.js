import { awaitRaffle } from "./awaited.js";
import { showList } from "./list.js";
import { showRaffle } from "./raffle.js";
import { setLanguage } from "./text.js";

const data = JSON.parse(document.getElementById("data").textContent);
setLanguage(data.lang);
if (data.odds) showRaffle(data);
if (data.list) showList(data);
if (data.awaits) awaitRaffle(data.awaits);
